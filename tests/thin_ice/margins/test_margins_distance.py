"""Signed distances of a real, small network: a sign, a size and a status for each sample."""

from functools import cache
from itertools import count

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_digits

from thin_ice.attacks.apgd_bisection import ApgdBisection
from thin_ice.attacks.checks import UnusableInput
from thin_ice.attacks.fab import Fab
from thin_ice.attacks.fmn import Fmn
from thin_ice.attacks.minimum_norm import MinimumNorm
from thin_ice.data.split import Split
from thin_ice.margins import distance
from thin_ice.margins.distance import Member, distance_table
from thin_ice.models.network import Architecture

torch.set_num_threads(1)

RUNS = [
    Member("fmn_1", "Linf", Fmn(20, 1.0)),
    Member("fmn_10", "Linf", Fmn(20, 10.0)),
    Member("apgd", "Linf", ApgdBisection(5, 4)),
    Member("fab", "Linf", Fab(10, 2)),
    Member("fmn_l2", "L2", Fmn(20, 1.0)),
]
MEMBERS = {"linf": ["fmn_1", "fmn_10", "apgd", "fab"], "l2": ["fmn_l2"]}


def images():
    return torch.tensor(load_digits().images[:200] * 255 / 16).to(torch.uint8)[:, None]


@cache
def weights():
    """Of a network trained for a second, so that its samples can be flipped both ways."""
    model = Architecture("digits_cnn", {"width": 4}, (1, 8, 8), 10, False).build(seed=1)
    labels = torch.tensor(load_digits().target[:200])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(25):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images() / 255), labels).backward()
        optimizer.step()
    return model.state_dict()


def network():
    model = Architecture("digits_cnn", {"width": 4}, (1, 8, 8), 10, False).build(seed=1)
    model.load_state_dict(weights())
    return model.eval()


def predictions(model, split):
    with torch.no_grad():
        return model(split.floats()).argmax(1)


@pytest.fixture(scope="module")
def split():
    """30 digits, whose labels are what the network says, but for every third."""
    ids = torch.arange(30) * 7 + 5
    said = predictions(network(), Split(images()[:30], ids % 10, ids))
    labels = torch.where(torch.arange(30) % 3 == 0, (said + 1) % 10, said)
    return Split(images()[:30], labels, ids)


@pytest.fixture(scope="module")
def table(split):
    return distance_table(network(), split, RUNS)[0]


def test_every_sample_has_its_id_its_label_and_whether_it_is_right(table, split):
    assert table.sample_id.tolist() == split.ids.tolist()
    assert table.label.tolist() == split.labels.tolist()
    assert table.correct.tolist() == (predictions(network(), split) == split.labels).tolist()
    assert sorted(table.correct.value_counts()) == [10, 20]


@pytest.mark.parametrize("norm", MEMBERS)
def test_the_envelope_is_the_smallest_distance_of_its_members(table, norm):
    expected = np.fmin.reduce([table[member] for member in MEMBERS[norm]])
    np.testing.assert_array_equal(table[f"distance_{norm}"], expected)
    for member in MEMBERS[norm]:
        assert not (table[f"distance_{norm}"] > table[member]).any()


def test_more_than_one_member_of_the_envelope_counts(table):
    nearest = table[MEMBERS["linf"]].idxmin(axis=1)
    assert set(nearest) == set(MEMBERS["linf"])


@pytest.mark.parametrize("norm", MEMBERS)
def test_the_sign_is_negative_for_misclassified_samples_and_only_for_them(table, norm):
    signed = table[f"signed_distance_{norm}"]
    assert ((signed < 0) == ~table.correct).all()
    np.testing.assert_array_equal(signed.abs(), table[f"distance_{norm}"])
    assert (signed != 0).all()


@pytest.mark.parametrize("norm", MEMBERS)
def test_a_found_distance_is_finite_and_within_the_images(table, norm):
    found = table[table[f"status_{norm}"] == "found"]
    assert len(found) > 20
    largest = {"linf": 1, "l2": 8}[norm]  # of 64 pixels in [0, 1]
    assert found[f"distance_{norm}"].between(0, largest, inclusive="neither").all()


@pytest.mark.parametrize("status", ["found", "failed"])
@pytest.mark.parametrize("norm", MEMBERS)
def test_the_status_says_whether_the_distance_is_finite(table, norm, status):
    distances = table[f"distance_{norm}"]
    expected = np.isfinite(distances) if status == "found" else np.isinf(distances)
    assert ((table[f"status_{norm}"] == status) == expected).all()


def test_a_failed_attack_is_infinitely_far_and_never_zero(split):
    """A network that says 3 whatever it sees cannot be flipped."""
    model = network()
    with torch.no_grad():
        model.linear.weight.zero_()
        model.linear.bias.copy_(torch.nn.functional.one_hot(torch.tensor(3), 10))
    table, _ = distance_table(model, split, RUNS)
    assert (table.correct == (table.label == 3)).all()
    for norm in MEMBERS:
        assert (table[f"status_{norm}"] == "failed").all()
        expected = np.where(table.correct, np.inf, -np.inf)
        assert table[f"signed_distance_{norm}"].tolist() == expected.tolist()


def test_what_is_not_attempted_is_no_failure_and_no_distance(table):
    """FAB leaves misclassified samples alone; the others give them theirs."""
    assert table.fab.isna().equals(~table.correct)
    assert np.isfinite(table.distance_linf).all()


@pytest.mark.parametrize("member", RUNS, ids=lambda member: member.column)
def test_each_column_is_what_the_attack_finds_in_its_norm(table, split, member):
    model = network().requires_grad_(False)
    found = member.attack.search(model, split.floats(), split.labels, member.norm)
    np.testing.assert_array_equal(table[member.column], found.distance)


class Watches:
    """An attack that finds nothing and looks at how the network is handed to it."""

    def __init__(self):
        self.frozen = []

    def search(self, model, images, labels, norm):
        self.frozen.append(not any(p.requires_grad for p in model.parameters()))
        return MinimumNorm(torch.full((len(images),), torch.inf), images)


def test_the_network_is_frozen_while_it_is_attacked(split):
    watches = Watches()
    distance_table(network(), split, [Member("watches", "Linf", watches)])
    assert watches.frozen == [True]


def test_a_network_or_labels_that_no_distance_may_rest_on_are_refused(split):
    with pytest.raises(UnusableInput, match="in training mode"):
        distance_table(network().train(), split, RUNS)
    strange = Split(split.images, split.labels + 10, split.ids)
    with pytest.raises(UnusableInput, match="has 10 classes"):
        distance_table(network(), strange, RUNS)


def test_the_seconds_are_those_of_all_batches_over_all_samples(split, monkeypatch):
    """By a clock that goes on a second whenever it is read."""
    ticks = count()
    monkeypatch.setattr(distance.time, "monotonic", lambda: next(ticks))
    monkeypatch.setattr(distance, "BATCH", 7)
    _, seconds = distance_table(network(), split, [Member("watches", "Linf", Watches())])
    assert seconds == {"watches": pytest.approx(5 / 30, abs=1e-6)}


def test_the_seconds_of_each_member_are_told(split):
    _, seconds = distance_table(network(), split, RUNS)
    assert list(seconds) == [member.column for member in RUNS]
    assert all(0 < value < 1 for value in seconds.values())


def test_a_run_that_failed_does_not_hide_one_that_succeeded():
    table = pd.DataFrame({"correct": [True, False], "a": [np.inf, np.inf], "b": [0.5, 0.25]})
    distance._add_envelope(table, "Linf", ["a", "b"])
    assert table.signed_distance_linf.tolist() == [0.5, -0.25]
    assert table.status_linf.tolist() == ["found", "found"]


def test_batches_and_their_order_do_not_show(table, split, monkeypatch):
    monkeypatch.setattr(distance, "BATCH", 7)
    again, _ = distance_table(network(), split, RUNS)
    pd.testing.assert_frame_equal(again.iloc[:, :3], table.iloc[:, :3])
    for norm in MEMBERS:  # a rounding error may send a search another way
        signed = again[f"signed_distance_{norm}"], table[f"signed_distance_{norm}"]
        assert np.isclose(*signed, rtol=1e-3).mean() > 0.9


def test_a_network_is_left_as_it_was(table, split):
    model = network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    again, _ = distance_table(model, split, RUNS)
    pd.testing.assert_frame_equal(again, table)
    assert not any(module.training for module in model.modules())
    assert all(p.requires_grad for p in model.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_member_is_the_attack_that_the_study_spells_out():
    options = {"steps": 7, "max_stepsize": 2.5, "start": "noise"}
    member = Member.of({"kind": "fmn", "norm": "L2", "options": options})
    assert member.attack == Fmn(7, 2.5, "noise")
    assert (member.norm, member.column) == ("L2", "fmn_l2_max_stepsize_2.5_start_noise_steps_7")

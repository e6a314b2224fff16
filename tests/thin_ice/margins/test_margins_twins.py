"""Twins: of the thinnest samples, misclassified, in the box, and as far as they say."""

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from sklearn.datasets import load_digits

from thin_ice.attacks.apgd_bisection import ApgdBisection
from thin_ice.attacks.checks import UnusableInput
from thin_ice.attacks.fab import Fab
from thin_ice.attacks.fmn import Fmn
from thin_ice.attacks.minimum_norm import MinimumNorm
from thin_ice.data.split import Split
from thin_ice.margins.distance import Member, distance_table
from thin_ice.margins.twins import FORMAT, find_twins, thinnest, write_twins
from thin_ice.models.network import Architecture

CLASSES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
MEMBERS = [
    Member("fmn", "Linf", Fmn(20, 1.0)),
    Member("fmn_noise", "Linf", Fmn(20, 10.0, "noise")),
    Member("apgd", "Linf", ApgdBisection(5, 4)),
    Member("fab", "Linf", Fab(10, 2)),
]
COLUMNS = ["sample_id", "label", "label_name", "predicted_name", "distance", "attack"]


@pytest.fixture(scope="module")
def split():
    images = torch.tensor(load_digits().images[:40] * 255 / 16).to(torch.uint8)[:, None]
    return Split(images, torch.tensor(load_digits().target[:40]), torch.arange(40) * 7 + 5)


@pytest.fixture(scope="module")
def network(split):
    """Trained on these digits for a second, so that most are right and none very far."""
    model = Architecture("digits_cnn", {"width": 4}, (1, 8, 8), 10, False).build(seed=1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(15):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(split.floats()), split.labels).backward()
        optimizer.step()
    return model.eval()


@pytest.fixture(scope="module")
def distances(network, split):
    return distance_table(network, split, MEMBERS)[0]


def chosen(split, places):
    places = torch.as_tensor(places)
    return Split(split.images[places], split.labels[places], split.ids[places])


@pytest.fixture(scope="module")
def found(network, split, distances):
    return find_twins(network, chosen(split, thinnest(distances, "Linf", 6)), MEMBERS, CLASSES)


def test_every_twin_is_misclassified_alone_and_in_the_box_where_its_image_is_right(found, network):
    assert list(found.table) == COLUMNS
    assert len(found.table) == 6
    assert (found.images.dtype, found.twins.dtype) == (torch.uint8, torch.float32)
    for image, twin, row in zip(found.images, found.twins, found.table.itertuples(), strict=True):
        said = [int(network(x[None]).argmax(1)) for x in (image.float() / 255, twin)]
        assert said[0] == row.label
        assert said[1] != row.label
        assert (row.label_name, row.predicted_name) == (CLASSES[said[0]], CLASSES[said[1]])
        assert 0 <= twin.min() <= twin.max() <= 1


def test_the_distance_is_that_of_the_twin_and_near_the_one_that_chose_it(found, distances):
    size = (found.twins - found.images.float() / 255).abs().flatten(1).amax(1)
    assert torch.equal(torch.from_numpy(found.table.distance.to_numpy(copy=True)), size)
    assert found.table.distance.is_monotonic_increasing
    before = distances.set_index("sample_id").distance_linf[found.table.sample_id]
    ratio = found.table.distance.to_numpy() / before.to_numpy()
    assert (ratio < 1.2).all()
    assert (ratio > 0.8).all()


def test_the_thinnest_correct_samples_are_the_ones(found, distances):
    right = distances[distances.correct].sort_values("distance_linf")
    assert set(found.table.sample_id) == set(right.sample_id[:6])
    assert len(right) > 20


def test_the_attack_named_is_one_that_finds_this_very_twin_and_none_finds_a_nearer(
    network, split, distances
):
    samples = chosen(split, thinnest(distances, "Linf", 20))
    found = find_twins(network, samples, MEMBERS, CLASSES)
    assert found.table.attack.nunique() > 1
    frozen = network.requires_grad_(False)
    arguments = frozen, samples.floats(), samples.labels, "Linf"
    again = {member.column: member.attack.search(*arguments) for member in MEMBERS}
    for image, row in zip(found.twins, found.table.itertuples(), strict=True):
        place = samples.ids.tolist().index(row.sample_id)
        assert torch.equal(again[row.attack].adversarial[place], image)
        assert all(row.distance <= one.distance[place] for one in again.values())


def table(**columns):
    return pd.DataFrame({"sample_id": [3, 5, 8, 9, 12], **columns})


def test_ties_go_by_the_id_and_who_is_wrong_or_has_no_flip_is_left_out():
    right = [True, True, True, False, True]
    of = table(correct=right, distance_linf=[0.2, 0.1, 0.1, 0.01, np.inf])
    assert thinnest(of, "Linf", 1).tolist() == [1]
    assert thinnest(of, "Linf", 2).tolist() == [1, 2]
    assert thinnest(of, "Linf", 9).tolist() == [0, 1, 2]
    shuffled = of.iloc[[2, 0, 1, 3, 4]]
    assert thinnest(shuffled, "Linf", 1).tolist() == [2]


def test_no_correct_sample_means_no_twins_and_a_file_all_the_same(network, split, tmp_path):
    none = table(correct=False, distance_linf=0.1)
    samples = chosen(split, thinnest(none, "Linf", 8))
    nothing = find_twins(network, samples, MEMBERS, CLASSES)
    assert list(nothing.table) == COLUMNS
    assert len(nothing.table) == 0
    write_twins(tmp_path / "twins", nothing)
    shapes = {name: tuple(value.shape) for name, value in load_file(tmp_path / "twins").items()}
    assert shapes == {"images": (0, 1, 8, 8), "twins": (0, 1, 8, 8)}


class Claims:
    """An attack that says that it has flipped every image by doing nothing to it, or too much."""

    def __init__(self, change):
        self.change = change

    def search(self, model, images, labels, norm):
        points = self.change(images)
        return MinimumNorm(images.new_full((len(images),), 1e-3), points)


LIES = {
    "none": lambda x: x,
    "no image": lambda x: 10 - 20 * x,
    "too dark": lambda x: 0.5 - x,
    "too bright": lambda x: 1.5 - x,
}


@pytest.mark.parametrize("change", LIES.values(), ids=LIES)
def test_what_does_not_hold_when_looked_at_again_is_no_twin(network, split, distances, change):
    samples = chosen(split, thinnest(distances, "Linf", 4))
    lie = Member("lie", "Linf", Claims(change))
    wrong = network(change(samples.floats())).argmax(1) != samples.labels
    assert wrong.any() == (change is not LIES["none"])
    assert len(find_twins(network, samples, [lie], CLASSES).table) == 0


@pytest.mark.parametrize("change", LIES.values(), ids=LIES)
def test_a_claim_that_does_not_hold_hides_no_other_attacks_twin(found, network, distances, change):
    samples = Split(found.images, labels_of(found), ids_of(found))
    lie = Member("lie", "Linf", Claims(change))
    honest = find_twins(network, samples, MEMBERS, CLASSES)
    for members in ([lie, *MEMBERS], [*MEMBERS, lie]):
        again = find_twins(network, samples, members, CLASSES)
        pd.testing.assert_frame_equal(again.table, honest.table)
        assert torch.equal(again.twins, honest.twins)


def labels_of(found):
    return torch.from_numpy(found.table.label.to_numpy(copy=True))


def ids_of(found):
    return torch.from_numpy(found.table.sample_id.to_numpy(copy=True))


def test_of_equals_the_first_attack_is_named_and_the_smaller_id_comes_first(network, split):
    """Negatives are all at a distance of 1: every digit has a black pixel."""
    members = [Member(name, "Linf", Claims(lambda x: 1 - x)) for name in ("one", "other")]
    places = torch.tensor([9, 2, 30, 17, 4])
    found = find_twins(network, chosen(split, places), members, CLASSES).table
    assert (found.distance == 1).all()
    assert found.sample_id.is_monotonic_increasing
    assert len(found) > 2
    assert set(found.attack) == {"one"}


class GivesUp:
    """An attack that finds nothing and gives the images back."""

    def __init__(self, distance):
        self.distance = distance

    def search(self, model, images, labels, norm):
        assert not any(p.requires_grad for p in model.parameters())
        return MinimumNorm(images.new_full((len(images),), self.distance), images)


@pytest.mark.parametrize("distance", [np.inf, np.nan])
def test_an_image_that_is_wrong_by_itself_is_no_twin_of_itself(network, split, distance):
    network.requires_grad_(True)  # frozen by the search alone
    wrong = Split(split.images, (split.labels + 1) % 10, split.ids)
    members = [Member("idle", "Linf", GivesUp(distance))]
    assert len(find_twins(network, wrong, members, CLASSES).table) == 0


def test_distances_are_in_the_members_norm(network, split):
    found = find_twins(network, split, [Member("fmn", "L2", Fmn(20, 1.0))], CLASSES)
    size = (found.twins - found.images.float() / 255).square().flatten(1).sum(1).sqrt()
    assert found.table.distance.to_numpy() == pytest.approx(size.numpy(), rel=1e-5)
    assert len(found.table) > 20
    assert found.table.distance.is_monotonic_increasing
    at = [split.ids.tolist().index(one) for one in found.table.sample_id]
    assert torch.equal(found.images, split.images[at])
    assert found.table.label.tolist() == split.labels[at].tolist()


def test_a_network_in_training_mode_is_refused(network, split):
    try:
        with pytest.raises(UnusableInput, match="training mode"):
            find_twins(network.train(), split, MEMBERS, CLASSES)
    finally:
        network.eval()


def test_the_file_holds_both_images_and_the_same_bytes_each_time(found, tmp_path):
    for name in ("one", "two"):
        write_twins(tmp_path / name, found)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    with safe_open(tmp_path / "one", "pt") as file:
        assert file.metadata() == {"format": FORMAT}
        assert torch.equal(file.get_tensor("images"), found.images)
        assert torch.equal(file.get_tensor("twins"), found.twins)

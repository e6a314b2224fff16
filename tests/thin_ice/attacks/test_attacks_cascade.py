"""The cascade, attack by attack on survivors, is one call of AutoAttack; and it can be resumed."""

import logging
import re
from dataclasses import dataclass, field, replace

import pandas as pd
import pytest
import torch
from pyautoattack import AutoAttack

from thin_ice.attacks.threat import ThreatModel
from thin_ice.attacks.versions import VERSIONS, CascadeSettings, version_settings
from thin_ice.checkpoint import Checkpoint
from thin_ice.data.split import Split
from thin_ice.evaluation.cascade import Cascade, run_shard
from thin_ice.evaluation.outcomes import OUTCOME

LINF, L2 = ThreatModel("Linf", 0.15), ThreatModel("L2", 0.6)


def one_call(model, split, cascade, order, caplog):
    """The package's own evaluation; returns predictions and the robust share after each attack."""
    package = AutoAttack(model, norm=cascade.threat.norm, eps=cascade.threat.eps, seed=cascade.seed)
    assert package.version == "standard"
    package.attacks_to_run = list(order)
    package.square.n_queries = cascade.settings.square_queries
    package.fab.n_target_classes = cascade.settings.fab_targets
    package.apgd_targeted.n_target_classes = cascade.settings.apgd_targets
    package.logger.addHandler(caplog.handler)
    with caplog.at_level(logging.DEBUG, logger="auto-attack"):
        _, predicted = package.run_standard_evaluation(
            split.floats(), split.labels, batch_size=cascade.batch_size
        )
    package.logger.removeHandler(caplog.handler)
    shares = re.findall(r"robust accuracy after (\S+): (\S+)%", caplog.text)
    return predicted, {name.lower(): float(share) for name, share in shares}


def columns(order):
    return [OUTCOME + name.replace("-", "_") for name in order]


@pytest.mark.parametrize(
    ("threat", "order", "targets", "batch_size"),
    [
        (LINF, VERSIONS["standard"].attacks, 9, 250),
        # Weak attacks first, so that each has something to break; several uneven batches.
        (L2, ("square", "apgd-ce", "fab-t", "apgd-t"), 2, 25),
    ],
)
def test_the_cascade_s_verdicts_are_those_of_one_call_sample_by_sample(
    trained, digits, tmp_path, caplog, threat, order, targets, batch_size
):
    split = digits["test"].head(60)
    settings = CascadeSettings(order, apgd_targets=targets, fab_targets=targets, square_queries=60)
    cascade = Cascade(threat, settings, seed=3, batch_size=batch_size)
    result = run_shard(trained, split, cascade, Checkpoint(tmp_path / "shard", "job"))
    table, facts = result.table, result.facts
    predicted, shares = one_call(trained, split, cascade, order, caplog)
    assert table.robust.tolist() == (predicted == split.labels).tolist()
    assert 0 < table.robust.sum() < 60
    assert (table[columns(order)] == "broken").any().sum() >= 2
    survivors = (table[columns(order)] == "withstood").mean()
    found = [round(100 * share, 2) for share in survivors]
    assert found == pytest.approx([shares[name] for name in order], abs=0.006)
    assert list(facts["seconds"]) == list(result.flags) == list(order)


@pytest.mark.parametrize(
    ("version", "threat", "samples"),
    [
        ("standard", ThreatModel("L1", 1.0), 8),
        pytest.param("plus", LINF, 12, marks=pytest.mark.heavy),
        ("rand", L2, 16),
    ],
)
def test_every_version_in_miniature_agrees_with_a_direct_call(
    trained, digits, tmp_path, version, threat, samples
):
    """All the package's own settings, Square's queries alone cut down, on both sides."""
    split = digits["test"].head(samples)
    settings = replace(version_settings(version, threat.norm), square_queries=30)
    cascade = Cascade(threat, settings, seed=3, batch_size=8)
    table = run_shard(trained, split, cascade, Checkpoint(tmp_path / "shard", "job")).table
    package = AutoAttack(trained, norm=threat.norm, eps=threat.eps, seed=3, version=version)
    package.square.n_queries = 30
    _, predicted = package.run_standard_evaluation(split.floats(), split.labels, batch_size=8)
    direct = (predicted == split.labels).numpy()
    assert (table.robust == direct).mean() >= 0.99
    assert abs(table.robust.mean() - direct.mean()) <= 0.005
    assert 0 < direct.sum() < samples


ABOUT = ["broken_by", "margin_left", "confirmed"]
CHEAP = CascadeSettings(
    ("square", "apgd-ce", "fab-t", "apgd-t"), apgd_targets=1, fab_targets=1, square_queries=30
)


def cheap(**changes):
    return Cascade(LINF, replace(CHEAP, **changes), seed=0, batch_size=20)


@pytest.fixture(scope="module")
def shard(digits):
    return digits["test"].shard(1, 40)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The checkpoint of the whole run."""
    return tmp_path_factory.mktemp("whole") / "shard"


@pytest.fixture(scope="module")
def whole(trained, shard, finished):
    """The table of a run that nothing interrupts."""
    return run_shard(trained, shard, cheap(), Checkpoint(finished, "job")).table


def test_each_sample_is_attacked_until_it_breaks_and_not_after(trained, shard, whole):
    correct = trained(shard.floats()).argmax(1) == shard.labels
    assert whole.sample_id.tolist() == shard.ids.tolist()
    outcomes = whole[columns(CHEAP.attacks)]
    for right, robust, path in zip(correct, whole.robust, outcomes.values.tolist(), strict=True):
        text = " ".join(path)
        if not right:
            assert text == "skipped skipped skipped skipped"
        elif robust:
            assert text == "withstood withstood withstood withstood"
        else:
            assert re.fullmatch(r"(withstood )*broken( skipped)*", text)
    assert not correct.all()
    assert (outcomes == "broken").any().sum() >= 2


class Killed(Exception):
    """The scheduler's time limit."""


@dataclass(frozen=True)
class Watched(Checkpoint):
    """A real checkpoint that remembers which attacks were done at each save."""

    saves: list = field(default_factory=list)

    def save(self, groups, facts):
        super().save(groups, facts)
        self.saves.append(list(facts["seconds"]))


@pytest.mark.parametrize("done", [1, 2])
def test_a_killed_shard_resumes_with_the_same_table_and_repeats_nothing(
    trained, shard, whole, tmp_path, done
):
    killed = Watched(tmp_path / "shard", "job")

    def kill(*_):
        if len(killed.saves) == done:
            raise Killed

    hook = trained.register_forward_pre_hook(kill)
    with pytest.raises(Killed):
        run_shard(trained, shard, cheap(), killed)
    hook.remove()
    resumed = Watched(tmp_path / "shard", "job")
    result = run_shard(trained, shard, cheap(), resumed)
    pd.testing.assert_frame_equal(result.table, whole)
    attacks = list(CHEAP.attacks)
    assert killed.saves == [attacks[: i + 1] for i in range(done)]
    assert resumed.saves == [attacks[: i + 1] for i in range(done, 4)]
    assert list(result.facts["seconds"]) == attacks


def test_a_finished_shard_attacks_nothing_again(trained, shard, whole, finished):
    """It looks at its clean images and its examples once more, two batches and two, or less."""
    calls = []
    hook = trained.register_forward_pre_hook(lambda *_: calls.append(1))
    again = run_shard(trained, shard, cheap(), Checkpoint(finished, "job")).table
    hook.remove()
    pd.testing.assert_frame_equal(again, whole)
    assert len(calls) <= 4


def test_a_checkpoint_of_another_protocol_is_not_resumed(trained, shard, tmp_path):
    first, other = (Watched(tmp_path / "shard", identity) for identity in ("eps 1", "eps 2"))
    for checkpoint in (first, other):
        run_shard(trained, shard, cheap(attacks=("square",)), checkpoint)
    assert first.saves == other.saves == [["square"]]


def test_the_same_protocol_gives_the_same_table_again(trained, shard, whole, tmp_path):
    again = run_shard(trained, shard, cheap(), Checkpoint(tmp_path / "again", "job")).table
    pd.testing.assert_frame_equal(again, whole)


def test_the_margin_left_is_the_smallest_of_any_apgd_and_nan_without_one(trained, digits, tmp_path):
    """In a ball so small that nothing breaks, so every attack is given the same batches."""
    split = digits["test"].head(20)
    left = {}
    for attacks in (("apgd-ce", "apgd-t"), ("apgd-ce",), ("apgd-t",), ("square",)):
        few = replace(cheap(attacks=attacks), threat=ThreatModel("Linf", 0.004))
        place = tmp_path / "-".join(attacks)
        table = run_shard(trained, split, few, Checkpoint(place, "job")).table
        left[attacks] = table.margin_left[table.robust]
        assert len(left[attacks]) > 5
    alone = pd.concat([left["apgd-ce",], left["apgd-t",]], axis=1)
    assert (alone.iloc[:, 0] != alone.iloc[:, 1]).any()
    assert left["apgd-ce", "apgd-t"].tolist() == alone.min(axis=1).tolist()
    assert left["square",].isna().all()


class FewClasses(torch.nn.Module):
    """The first four logits of a network."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        return self.model(images)[:, :4]


def test_a_shard_aims_at_no_more_classes_than_there_are_and_says_so(trained, digits, tmp_path):
    model, few = FewClasses(trained).eval(), digits["test"].head(6)
    split = Split(few.images, model(few.floats()).argmax(1), few.ids)
    settings = CascadeSettings(("apgd-t",))
    cascade = Cascade(ThreatModel("Linf", 0.001), settings, seed=0, batch_size=6)
    result = run_shard(model, split, cascade, Checkpoint(tmp_path / "s", "job"))
    assert result.settings == replace(settings, apgd_targets=3, fab_targets=3)
    assert result.table.robust.any()
    assert result.flags == {"apgd-t": []}


class Noisy(torch.nn.Module):
    """Draws whenever it is asked, as a randomised network does."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        return self.model(images) + 2 * torch.randn(len(images), 10)


def test_a_randomised_network_has_the_same_table_again_and_after_a_kill(trained, shard, tmp_path):
    model = Noisy(trained).eval()
    cascade = cheap(attacks=("square", "apgd-ce"), eot_iterations=2)
    torch.manual_seed(1)
    first = run_shard(model, shard, cascade, Checkpoint(tmp_path / "first", "job")).table
    torch.manual_seed(2)
    killed = Watched(tmp_path / "killed", "job")

    def kill(*_):
        if killed.saves:
            raise Killed

    hook = model.register_forward_pre_hook(kill)
    with pytest.raises(Killed):
        run_shard(model, shard, cascade, killed)
    hook.remove()
    torch.manual_seed(3)
    for _ in "resumed", "finished":
        again = run_shard(model, shard, cascade, Checkpoint(tmp_path / "killed", "job")).table
        pd.testing.assert_frame_equal(again, first, check_exact=True)
    assert first.broken_by.nunique() >= 3


def test_a_shard_beyond_the_end_is_an_empty_table_with_every_column(trained, digits, tmp_path):
    beyond = digits["test"].shard(10_000, 40)
    result = run_shard(trained, beyond, cheap(), Checkpoint(tmp_path / "shard", "job"))
    assert len(result.table) == 0
    assert list(result.table) == ["sample_id", *columns(CHEAP.attacks), "robust", *ABOUT]
    assert list(result.facts["seconds"]) == list(CHEAP.attacks)


def test_misclassified_samples_are_skipped_by_every_attack(trained, shard, tmp_path):
    wrong = (trained(shard.floats()).argmax(1) + 1) % 10
    split = Split(shard.images, wrong, shard.ids)
    result = run_shard(trained, split, cheap(), Checkpoint(tmp_path / "shard", "job"))
    assert not result.table.robust.any()
    assert (result.table[columns(CHEAP.attacks)] == "skipped").all(axis=None)
    assert (result.table.broken_by == "clean").all()
    assert (result.table.margin_left <= 0).all()
    assert not any(result.flags.values())


def test_the_last_survivor_alone_is_attacked_too(trained, shard, tmp_path):
    correct = (trained(shard.floats()).argmax(1) == shard.labels).nonzero()[:1, 0]
    lone = Split(shard.images[correct], shard.labels[correct], shard.ids[correct])
    table = run_shard(trained, lone, cheap(), Checkpoint(tmp_path / "shard", "job")).table
    assert set(table[OUTCOME + "square"]) <= {"withstood", "broken"}


def test_warnings_are_data_with_their_kind(trained, shard, tmp_path):
    model = torch.nn.Sequential(trained, torch.nn.Softmax(1)).eval()
    cascade = cheap(attacks=("square",))
    (flag,) = run_shard(model, shard, cascade, Checkpoint(tmp_path / "s", "job")).flags["square"]
    assert flag["kind"] == "probabilities"
    assert "probability distribution" in flag["message"]


class Flat(torch.nn.Module):
    """The same logits without a slope."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        return self.model(images.detach()) + 0 * images.sum()


def test_a_warning_of_every_run_and_batch_is_said_once(trained, digits, tmp_path):
    cascade = Cascade(LINF, CascadeSettings(("apgd-t",), apgd_targets=2), seed=0, batch_size=1)
    few = digits["test"].head(3)
    model = Flat(trained).eval()
    flags = run_shard(model, few, cascade, Checkpoint(tmp_path / "s", "job")).flags["apgd-t"]
    assert [flag["kind"] for flag in flags] == ["zero_gradients"]

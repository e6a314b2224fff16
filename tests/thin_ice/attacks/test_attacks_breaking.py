"""Where AutoAttack first breaks each sample: brackets, their order, and what a kill leaves."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from pyautoattack import AutoAttack
from torch import nn

from thin_ice.attacks.threat import ThreatModel
from thin_ice.attacks.versions import CascadeSettings
from thin_ice.checkpoint import Checkpoint
from thin_ice.data.split import Split
from thin_ice.evaluation import breaking
from thin_ice.evaluation.breaking import Grid, Known, Search, breaking_table, coarsest, next_radii
from thin_ice.evaluation.cascade import Cascade, run_shard

EPS, ROUNDS = 0.1, 2
CELL = EPS / 2**ROUNDS
UNKNOWN = math.nan


def cascade(*attacks, eps=EPS, **settings):
    return Cascade(ThreatModel("Linf", eps), CascadeSettings(attacks, **settings), 0, 25)


EASY = cascade("apgd-ce")
WIDE = 0.13  # of digits
HARD = cascade("apgd-ce", "square", eps=WIDE, square_queries=20)


def two_classes():
    """A linear network of two classes, small enough in its logits for its gradient to be seen."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    slope = torch.randn(64, generator=torch.Generator().manual_seed(0)) / 64
    with torch.no_grad():
        model[1].weight.copy_(torch.stack([slope, -slope]) / 2)
        model[1].bias.zero_()
    return model.eval().requires_grad_(False)


def lined_up(n=60):
    """Images at distances of up to 0.47 on both sides of the boundary, which passes by grey, so
    that the box binds nowhere on the way; with the network's own labels but for every tenth.
    """
    model, stream = two_classes(), torch.Generator().manual_seed(1)
    slope = model[1].weight[0] - model[1].weight[1]
    noise = 0.02 * torch.randn(n, 64, generator=stream)
    noise -= (noise @ slope / slope.square().sum())[:, None] * slope
    images = 0.5 + noise + torch.linspace(-0.47, 0.47, n)[:, None] * slope.sign()
    images = (255 * images).round().clamp(0, 255).to(torch.uint8).view(n, 1, 8, 8)
    split = Split(images, torch.zeros(n).long(), torch.arange(n) * 3)
    labels = model(split.floats()).argmax(1)
    labels[::10] = 1 - labels[::10]
    return model, Split(images, labels, split.ids)


def closed_form(model, split):
    """|w x + b| / ||w||_1, float64 (N,)."""
    slope = (model[1].weight[0] - model[1].weight[1]).double()
    offset = (model[1].bias[0] - model[1].bias[1]).double()
    values = split.images.double().flatten(1) / 255 @ slope + offset
    return values.abs() / slope.abs().sum()


def known_of(model, split, distance=None):
    """What an evaluation by EASY would hand on."""
    result = run_shard(model, split, EASY, NoCheckpoint())
    correct = model(split.floats()).argmax(1) == split.labels
    robust = torch.from_numpy(result.table.robust.to_numpy(copy=True))
    unknown = torch.full((len(split),), UNKNOWN, dtype=torch.float64)
    return Known(correct, robust, unknown if distance is None else distance)


class NoCheckpoint:
    def load(self):
        return None

    def save(self, groups, facts):
        pass


@pytest.fixture(scope="module")
def linear():
    return lined_up()


def table_of(model, split, known, tmp_path, protocol=EASY, size=1000, rounds=ROUNDS):
    checkpoint = Checkpoint(tmp_path / "state", "job")
    return breaking_table(model, split, known, protocol, size, rounds, checkpoint)


@pytest.mark.parametrize("hint", ["true distances", "no distances"])
def test_brackets_hold_the_closed_form_distance_of_a_linear_network(linear, tmp_path, hint):
    """With the distances, up to 4 eps; and without, where the search begins at 4 eps for all."""
    model, split = linear
    exact = closed_form(model, split)
    known = known_of(model, split, exact if hint == "true distances" else None)
    table, _ = table_of(model, split, known, tmp_path)
    exact = exact.numpy()[known.correct]
    low, high = (table[name][known.correct.numpy()] for name in ("standing_eps", "breaking_eps"))
    near = exact < 4 * EPS
    assert near.sum() > 30
    assert (~near).sum() > 3
    rounding = 1e-6
    assert (low[near] <= exact[near] + rounding).all()
    assert (high[near] >= exact[near] - rounding).all()
    wide = np.where(high[near] > 2.001 * EPS, 2 * CELL, CELL)
    np.testing.assert_allclose((high - low)[near], wide, rtol=1e-5)
    assert (low[~near] == np.float32(4 * EPS)).all()
    assert np.isinf(high[~near]).all()


def test_brackets_hold_the_closed_form_distance_in_l2_too(linear, tmp_path):
    model, split = linear
    slope = (model[1].weight[0] - model[1].weight[1]).double()
    exact = closed_form(model, split) * slope.abs().sum() / slope.norm()
    eps, protocol = 0.4, replace(EASY, threat=ThreatModel("L2", 0.4))
    correct = model(split.floats()).argmax(1) == split.labels
    table, _ = table_of(model, split, Known(correct, exact > eps, exact), tmp_path, protocol)
    near = (correct & (exact < 4 * eps)).numpy()
    assert near.sum() > 20
    assert (table.standing_eps[near] <= exact.numpy()[near] + 1e-5).all()
    assert (table.breaking_eps[near] >= exact.numpy()[near] - 1e-5).all()
    wide = np.where(table.breaking_eps[near] > 2.001 * eps, eps / 2, eps / 4)
    np.testing.assert_allclose((table.breaking_eps - table.standing_eps)[near], wide, rtol=1e-5)


def test_misclassified_samples_have_no_radius_and_are_never_attacked(linear, tmp_path):
    model, split = linear
    known = known_of(model, split)
    table, _ = table_of(model, split, known, tmp_path)
    wrong = table[~known.correct.numpy()]
    assert len(wrong) == 6
    assert wrong[["standing_eps", "breaking_eps"]].isna().all(axis=None)
    assert (wrong.attacks == 0).all()
    right = table[known.correct.numpy()]
    assert right[["standing_eps", "breaking_eps"]].notna().all(axis=None)
    assert table.dtypes[["standing_eps", "breaking_eps"]].tolist() == [np.float32, np.float32]
    assert table.dtypes.attacks == np.int64


@pytest.fixture(scope="module")
def split(digits):
    return digits["test"].head(40)


@pytest.fixture(scope="module")
def known(trained, split, tmp_path_factory):
    """Of digits: the verdicts of HARD, and distances that are a guess."""
    place = tmp_path_factory.mktemp("known") / "shard"
    robust = run_shard(trained, split, HARD, Checkpoint(place, "job")).table.robust
    correct = trained(split.floats()).argmax(1) == split.labels
    guess = torch.linspace(0.5 * WIDE, 3 * WIDE, len(split), dtype=torch.float64)
    guess[::9] = torch.inf
    return Known(correct, torch.from_numpy(robust.to_numpy(copy=True)), guess)


@pytest.fixture(scope="module")
def whole(trained, split, known, tmp_path_factory):
    """The table of a search that nothing interrupts, in pieces of 16."""
    return table_of(
        trained, split, known, tmp_path_factory.mktemp("whole"), HARD, size=16, rounds=1
    )


def test_what_stands_is_below_what_breaks_and_the_studys_verdict_holds(whole, known):
    table, _ = whole
    right = table[known.correct.numpy()]
    robust = known.robust[known.correct].numpy()
    assert (right.standing_eps < right.breaking_eps).all()
    assert (right.breaking_eps[~robust] <= np.float32(WIDE)).all()
    assert (right.standing_eps[robust] >= np.float32(WIDE)).all()
    assert (right.breaking_eps[robust] > np.float32(WIDE)).all()
    assert 5 < robust.sum() < len(robust) - 5
    finite = np.isfinite(right.breaking_eps)
    gap = (right.breaking_eps - right.standing_eps)[finite]
    wide = np.where(right.breaking_eps[finite] > 2.001 * WIDE, WIDE, WIDE / 2)
    np.testing.assert_allclose(gap, wide, rtol=1e-5)
    assert (right.standing_eps[~finite] == np.float32(4 * WIDE)).all()


def test_the_verdicts_are_those_of_the_studys_autoattack_on_the_samples_due(trained, split, whole):
    """At 1.5 eps those are due who stood at eps and broke at 2 eps, 16 at a time."""
    table, _ = whole
    radius = np.float32(1.5 * WIDE)
    there = table.standing_eps.ge(np.float32(WIDE)) & table.breaking_eps.le(np.float32(2 * WIDE))
    due = np.flatnonzero(there)[:16]
    piece = Split(split.images[due], split.labels[due], split.ids[due])
    protocol = replace(HARD, threat=ThreatModel("Linf", 1.5 * WIDE))
    stood = run_shard(trained, piece, protocol, NoCheckpoint()).table.robust.to_numpy()
    assert (table.standing_eps[due] == radius).tolist() == stood.tolist()
    assert (table.breaking_eps[due] == radius).tolist() == (~stood).tolist()
    assert 0 < stood.sum() < 16


def direct(model, piece, threat):
    """Who stands up to one call of the package with HARD's attacks."""
    package = AutoAttack(model, norm=threat.norm, eps=threat.eps, seed=HARD.seed)
    package.attacks_to_run = list(HARD.settings.attacks)
    package.square.n_queries = HARD.settings.square_queries
    images = piece.floats()
    _, said = package.run_standard_evaluation(images, piece.labels, batch_size=HARD.batch_size)
    return (said == piece.labels).tolist()


def test_every_bracket_follows_from_direct_calls_of_autoattack_at_each_radius(
    trained, split, known, whole, tmp_path, monkeypatch
):
    """Whoever is attacked is attacked by the package itself too; from what it says at each radius,
    and the evaluation at eps, the bracket of each sample is read off.
    """
    stood, broke = ({sample: [] for sample in split.ids.tolist()} for _ in range(2))
    real, radii = breaking.run_shard, []

    def watched(model, piece, protocol, checkpoint):
        radii.append(protocol.threat.eps)
        verdicts = direct(model, piece, protocol.threat)
        for sample, stands in zip(piece.ids.tolist(), verdicts, strict=True):
            (stood if stands else broke)[sample].append(radii[-1])
        return real(model, piece, protocol, checkpoint)

    monkeypatch.setattr(breaking, "run_shard", watched)
    table, facts = table_of(trained, split, known, tmp_path, HARD, size=16, rounds=1)
    pd.testing.assert_frame_equal(table, whole[0])
    verdicts = zip(table.itertuples(), known.correct, known.robust, strict=True)
    for row, right, robust in verdicts:
        low, high = stood[row.sample_id], broke[row.sample_id]
        assert row.attacks == len(low) + len(high)
        if right:
            low, high = [0.0, *low, *([WIDE] * robust)], [*high, *([WIDE] * (not robust))]
            assert row.standing_eps == np.float32(max(low))
            assert row.breaking_eps == np.float32(min(high, default=math.inf))
        else:
            assert row.attacks == 0
    assert {n * WIDE / 2 for n in (1, 3, 4)} <= set(radii)
    assert facts["calls"] == len(radii)


def test_every_sample_is_attacked_as_often_as_said(whole, known):
    table, facts = whole
    broken = (known.correct & ~known.robust).numpy()
    standing = (known.correct & known.robust).numpy()
    assert (table.attacks[broken] == 1).all()
    assert table.attacks[standing].between(1, 3).all()
    assert facts["sample_attacks"] == table.attacks.sum()
    assert facts["seconds"] > 0


class Killed(Exception):
    """The scheduler's time limit."""


@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_killed_search_resumes_with_the_same_table(
    trained, split, known, whole, tmp_path, monkeypatch, after
):
    """Killed after the first attack of a call of AutoAttack, after its last, and between calls."""
    saves, calls = [], []
    real = Checkpoint.save

    def save(self, groups, facts):
        real(self, groups, facts)
        saves.append(facts)
        if len(saves) == after:
            raise Killed

    monkeypatch.setattr(Checkpoint, "save", save)
    with pytest.raises(Killed):
        table_of(trained, split, known, tmp_path, HARD, size=16, rounds=1)
    monkeypatch.setattr(Checkpoint, "save", real)
    package = breaking.run_shard

    def counted(model, piece, *rest):
        calls.append(len(piece))
        return package(model, piece, *rest)

    monkeypatch.setattr(breaking, "run_shard", counted)
    table, facts = table_of(trained, split, known, tmp_path, HARD, size=16, rounds=1)
    expected, about = whole
    pd.testing.assert_frame_equal(table, expected)
    assert facts["calls"] == about["calls"] == len(calls) + after // 3
    assert max(calls) <= 16 < int(known.robust.sum())


def test_a_call_goes_on_after_its_last_attack(trained, split, known, tmp_path, monkeypatch):
    """The attacks of the interrupted call that were done are not run again."""
    attacked = []
    real = breaking.run_shard

    def watched(model, piece, protocol, checkpoint):
        saved = checkpoint.load()
        attacked.append(list(saved[1]["seconds"]) if saved else [])
        return real(model, piece, protocol, checkpoint)

    monkeypatch.setattr(breaking, "run_shard", watched)
    save = Checkpoint.save

    def once(self, groups, facts):
        save(self, groups, facts)
        raise Killed

    monkeypatch.setattr(Checkpoint, "save", once)
    with pytest.raises(Killed):
        table_of(trained, split, known, tmp_path, HARD, size=16, rounds=1)
    monkeypatch.setattr(Checkpoint, "save", save)
    table_of(trained, split, known, tmp_path, HARD, size=16, rounds=1)
    assert attacked[:3] == [[], ["apgd-ce"], []]


def test_the_next_radius_is_the_middle_of_the_bracket_or_opens_it():
    """Four cells to eps, the last at 16. In turn: broken at eps; one cell left, two left beyond
    2 eps; wrong; standing with its end at 8 or 16; standing at 8 or 16 without a break; broken at
    16 but not known at 8; broken at 8; standing at 8.
    """
    low = torch.tensor([0, 1, 10, 0, 4, 4, 8, 16, 4, 4, 8])
    high = torch.tensor([4, 2, 12, 0, 17, 17, 17, 17, 16, 8, 16])
    ends = torch.tensor([8, 8, 8, 8, 8, 16, 8, 8, 16, 8, 16])
    nothing = torch.zeros(11, dtype=torch.int64)
    due = next_radii(Search(low, high, nothing, nothing), ends, Grid(EPS, 2))
    assert due.tolist() == [2, 0, 0, 0, 8, 16, 16, 0, 8, 6, 12]


def test_a_standing_sample_is_first_attacked_at_twice_or_four_times_eps():
    distance = torch.tensor([0.05, 0.2, 0.201, 0.6, math.inf, math.nan], dtype=torch.float64)
    assert Grid(EPS, 2).ends(distance).tolist() == [8, 8, 16, 16, 16, 16]
    assert Grid(8 / 255, 3).radius(8) == 8 / 255


def test_coarse_radii_come_before_fine_ones_and_small_before_large():
    assert coarsest(torch.tensor([3, 8, 0, 16, 12])).tolist() == [0, 0, 0, 16, 0]
    assert coarsest(torch.tensor([6, 3, 2, 0, 2])).tolist() == [0, 0, 2, 0, 2]
    assert coarsest(torch.tensor([0, 0])).tolist() == [0, 0]


def test_each_radius_is_attacked_once_however_many_samples_there_are(linear, tmp_path):
    model, split = linear
    for known in (known_of(model, split, closed_form(model, split)), known_of(model, split)):
        _, facts = table_of(model, split, known, tmp_path)
        radii = 3 * 2**ROUNDS - 1
        assert radii - 3 <= facts["calls"] <= radii
        (tmp_path / "state").unlink()


def test_all_who_are_due_at_a_radius_are_attacked_before_any_other(linear, tmp_path, monkeypatch):
    """In pieces of 8, half of whom stand at 2 eps and wait for 4 eps."""
    model, split = linear
    known = known_of(model, split, closed_form(model, split) / 4)
    real, radii = breaking.run_shard, []

    def watched(model, piece, protocol, checkpoint):
        radii.append(protocol.threat.eps)
        return real(model, piece, protocol, checkpoint)

    monkeypatch.setattr(breaking, "run_shard", watched)
    table_of(model, split, known, tmp_path, size=8)
    changes = sum(one != other for one, other in pairwise(radii))
    assert len(radii) > changes + 1
    assert changes < 3 * 2**ROUNDS  # each radius once, and 4 eps perhaps again


def test_a_flip_that_autoattack_misses_widens_the_search_and_is_counted(linear, tmp_path):
    """Distances that promise flips where there are none."""
    model, split = linear
    exact = closed_form(model, split)
    known = known_of(model, split, exact / 4)
    table, facts = table_of(model, split, known, tmp_path)
    right = table[known.correct.numpy()]
    bracketed = exact[known.correct].numpy() < 4 * EPS
    assert np.isfinite(right.breaking_eps[bracketed]).all()
    expected = (right.standing_eps > exact[known.correct].numpy() / 4).sum()
    assert facts["flips_missed"] == expected > 10


def test_a_split_of_misclassified_samples_alone_needs_no_attack(linear, tmp_path):
    model, split = linear
    wrong = torch.zeros(len(split), dtype=torch.bool)
    known = Known(wrong, ~wrong, torch.full((len(split),), UNKNOWN))
    table, facts = table_of(model, split, known, tmp_path)
    assert table.breaking_eps.isna().all()
    assert (facts["calls"], facts["sample_attacks"]) == (0, 0)

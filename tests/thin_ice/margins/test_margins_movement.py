"""How far the boundary moved: by hand, and from the tables of a planted run."""

from dataclasses import replace

import numpy as np
import planted_run
import pytest
from scipy.stats import binom, spearmanr

from thin_ice.margins.analysis import Pair, pairs_of
from thin_ice.margins.ice import SETS
from thin_ice.margins.movement import median_interval, movement, movement_table
from thin_ice.margins.views import views_of


def test_the_numbers_of_one_set_by_hand():
    dense, other = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.5, 2.5, 2.0, 2.0])
    row = movement(dense, other)
    assert (row["dense_median"], row["other_median"]) == (2.5, 2.0)
    assert row["change_median"] == -0.75  # of -0.5, 0.5, -1, -2
    assert row["closer_percent"] == 75
    assert row["spearman"] == pytest.approx(spearmanr(dense, other).statistic)
    assert np.isnan([row["change_low"], row["change_high"]]).all()


@pytest.mark.parametrize(("size", "k"), [(6, 1), (8, 1), (9, 2), (20, 6), (80, 31)])
def test_the_interval_of_a_median_ends_at_the_ranks_of_the_published_tables(size, k):
    """Ranks of the sign test's interval at 95 %, as statistics books list them."""
    values = np.random.default_rng(size).permutation(np.arange(1.0, size + 1))
    assert median_interval(values) == (k, size + 1 - k)


@pytest.mark.parametrize("size", range(1, 6))
def test_fewer_than_six_samples_have_a_median_without_an_interval(size):
    assert np.isnan(median_interval(np.arange(float(size)))).all()


@pytest.mark.parametrize("size", [6, 13, 80])
def test_the_interval_covers_the_planted_median_change(size):
    """Within three deviations of what its ranks promise, 95 in 100 or a little more."""
    rng, draws, hits = np.random.default_rng(0), 500, 0
    for _ in range(draws):
        dense = rng.normal(size=size)
        row = movement(dense, dense + rng.exponential(1, size))
        hits += row["change_low"] <= np.log(2) <= row["change_high"]
    promised = 1 - 2 * binom.cdf(binom.ppf(0.025, size, 0.5) - 1, size, 0.5)
    assert 0.95 <= promised < 0.98
    low, high = binom.ppf([0.0013, 0.9987], draws, promised)
    assert low <= hits <= high


def test_a_distance_that_stayed_did_not_come_closer():
    assert movement(np.array([1.0, 2.0]), np.array([1.0, 1.0]))["closer_percent"] == 50


@pytest.mark.parametrize("values", [[1.0, 2.0], [1.0, 1.0, 1.0]])
def test_few_or_equal_distances_have_no_correlation(values):
    row = movement(np.array(values), np.arange(len(values)) + 0.5)
    assert np.isnan(row["spearman"])


def signed(network, norm):
    table = network.distances
    values = table[f"signed_distance_{norm.lower()}"].astype(float)
    return dict(zip(table.sample_id, values, strict=True))


@pytest.fixture(scope="module")
def run():
    return planted_run.run(samples=300, seeds=(0,))


@pytest.fixture(scope="module")
def table(run):
    return movement_table([v for p in pairs_of(run) for v in views_of(p, planted_run.setting())])


@pytest.mark.parametrize("norm", planted_run.NORMS)
def test_every_set_is_that_of_a_plain_computation(run, table, norm):
    dense, other = (n for n in run if n.variant in ("dense", "lwm-0.99"))
    before, after = (n.samples.set_index("sample_id").correct for n in (dense, other))
    start, end = signed(dense, norm), signed(other, norm)
    names = {(1, 1): "kept", (1, 0): "lost", (0, 1): "rescued", (0, 0): "never"}
    members = {name: [] for name in SETS}
    for i in dense.samples.sample_id:
        members[names[before[i], after[i]]].append((start[i], end[i]))
    rows = table[(table.other == "lwm-0.99") & (table.norm == norm)]
    assert rows.set.tolist() == list(SETS)
    assert rows.infinite.sum() > 0
    for row in rows.itertuples():
        found = np.array([one for one in members[row.set] if np.isfinite(one).all()])
        assert (row.samples, row.infinite) == (len(found), len(members[row.set]) - len(found))
        change = found[:, 1] - found[:, 0]
        expected = [*np.median(found, axis=0), np.median(change), 100 * (change < 0).mean()]
        numbers = [row.dense_median, row.other_median, row.change_median, row.closer_percent]
        assert numbers == pytest.approx(expected, abs=1e-5)
        assert row.spearman == pytest.approx(spearmanr(*found.T).statistic)
        assert np.isnan(row.change_low) == (row.samples < 6)
        assert not row.change_low > row.change_median
        assert not row.change_high < row.change_median


def test_the_boundary_crosses_the_lost_and_comes_back_over_the_rescued(table):
    rows = table[table.samples > 0].set_index("set")
    assert (rows.loc["lost", "closer_percent"] == 100).all()
    assert (rows.loc[["rescued"], "closer_percent"] == 0).all()


def test_a_sample_whose_flip_was_not_searched_for_is_no_infinite_one(run):
    dense, other = (n for n in run if n.variant in ("dense", "lwm-0.99"))
    bare = other.distances.assign(
        signed_distance_linf=other.distances.signed_distance_linf.where(other.samples.correct)
    )
    views = views_of(Pair(dense, replace(other, distances=bare)), planted_run.setting())
    rows = movement_table(views).query("norm == 'Linf'").set_index("set")
    start = signed(dense, "Linf")
    lost = dense.samples.sample_id[dense.samples.correct & ~other.samples.correct]
    assert rows.samples[["lost", "never"]].tolist() == [0, 0]
    assert rows.infinite["lost"] == sum(np.isinf(start[i]) for i in lost) < len(lost)
    assert rows.samples["kept"] > 0


def test_a_set_without_samples_keeps_its_row(run):
    same = [n for n in run if n.variant in ("dense", "dense_again")]
    same[1] = type(same[1])(
        *("a-b-c", 0, "lwm-0.5", "lwm", 0.5), same[0].samples, same[0].distances
    )
    table = movement_table([v for p in pairs_of(same) for v in views_of(p, planted_run.setting())])
    lost = table[table.set == "lost"]
    assert (lost.samples == 0).all()
    assert lost.change_median.isna().all()

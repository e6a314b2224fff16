"""How far the boundary moved: by hand, and from the tables of a planted run."""

import numpy as np
import planted_run
import pytest
from scipy.stats import spearmanr

from thin_ice.margins.analysis import pairs_of
from thin_ice.margins.ice import SETS
from thin_ice.margins.movement import movement, movement_table
from thin_ice.margins.views import views_of


def test_the_numbers_of_one_set_by_hand():
    dense, other = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.5, 2.5, 2.0, 2.0])
    row = movement(dense, other, planted_run.setting(400))
    assert (row["dense_median"], row["other_median"]) == (2.5, 2.0)
    assert row["change_median"] == -0.75  # of -0.5, 0.5, -1, -2
    assert row["closer_percent"] == 75
    assert row["spearman"] == pytest.approx(spearmanr(dense, other).statistic)
    assert (row["change_low"], row["change_high"]) == (-2, 0.5)


def test_the_interval_covers_the_planted_median_change():
    rng, draws, hits = np.random.default_rng(0), 150, 0
    for seed in range(draws):
        dense = rng.normal(size=80)
        row = movement(dense, dense + rng.exponential(1, 80), planted_run.setting(100, seed))
        hits += row["change_low"] <= np.log(2) <= row["change_high"]
    assert 0.87 * draws <= hits < draws


@pytest.mark.parametrize("values", [[1.0, 2.0], [1.0, 1.0, 1.0]])
def test_few_or_equal_distances_have_no_correlation(values):
    row = movement(np.array(values), np.arange(len(values)) + 0.5, planted_run.setting(10))
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
        assert row.change_low <= row.change_median <= row.change_high


def test_the_boundary_crosses_the_lost_and_comes_back_over_the_rescued(table):
    rows = table[table.samples > 0].set_index("set")
    assert (rows.loc["lost", "closer_percent"] == 100).all()
    assert (rows.loc[["rescued"], "closer_percent"] == 0).all()


def test_a_set_without_samples_keeps_its_row(run):
    same = [n for n in run if n.variant in ("dense", "dense_again")]
    same[1] = type(same[1])(
        *("a-b-c", 0, "lwm-0.5", "lwm", 0.5), same[0].samples, same[0].distances
    )
    table = movement_table([v for p in pairs_of(same) for v in views_of(p, planted_run.setting())])
    lost = table[table.set == "lost"]
    assert (lost.samples == 0).all()
    assert lost.change_median.isna().all()

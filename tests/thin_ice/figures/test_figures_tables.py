"""The tables behind the figures, against plain computations."""

import numpy as np
import pandas as pd
import pytest
from make_tables import SETS, make_finished

from thin_ice.figures import accuracy, auroc, distances, loss_by_distance, mechanisms, overestimate


@pytest.fixture(scope="module")
def finished():
    return make_finished(runs=2, methods=2, seeds=(0, 1), samples=80)


def test_accuracy_has_each_network_once_under_its_method_and_the_dense_one_under_every(finished):
    table = accuracy.table(finished)
    # 2 runs x 2 methods x (dense + 2 sparsities) x 2 seeds x 3 measures
    assert len(table) == 2 * 2 * 3 * 2 * 3
    source = finished.accuracy.set_index(["run", "variant", "seed", "protocol"])
    for row in table.itertuples():
        expected = source.loc[row.run, row.variant, row.seed, row.protocol]
        assert row.percent == expected[f"{row.measure}_percent"]
        assert row.low_percent == expected[f"{row.measure}_low_percent"]
        assert row.protocol == f"pgd_{row.method}"


def test_overestimate_keeps_every_row_of_the_accuracy_table_that_claims_something(finished):
    table = overestimate.table(finished)
    claimed = finished.accuracy.overestimate_points.dropna()
    assert table.overestimate_points.tolist() == claimed.tolist()


def test_distances_summarise_each_set_over_all_seeds(finished):
    table = distances.table(finished)
    samples = finished.samples[finished.samples.norm == "Linf"]
    assert table.samples.sum() == len(samples)
    row = table[(table.set == "lost") & (table.correctness == "robust")].iloc[0]
    here = samples[
        (samples.run == row.run)
        & (samples.method == row.method)
        & (samples.sparsity == row.sparsity)
        & (samples.correctness == "robust")
        & (samples.set == "lost")
    ]
    assert set(here.seed) == {0, 1}
    assert row.samples == len(here)
    assert row["median"] == pytest.approx(here.signed_distance.median())
    assert row.q25 == pytest.approx(here.signed_distance.astype(float).quantile(0.25))


def test_distances_count_failures_and_leave_them_out_of_the_quantiles():
    finished = make_finished(methods=1, sparsities=(0.9,), seeds=(0,))
    samples = finished.samples
    kept = samples.index[(samples.set == "kept") & (samples.correctness == "clean")]
    samples.loc[kept[:3], "signed_distance"] = np.inf
    row = distances.table(finished).query("set == 'kept' and correctness == 'clean'").iloc[0]
    assert row.infinite == 3
    assert np.isfinite(row[list(distances.QUANTILES)].astype(float)).all()


def test_an_empty_set_is_a_row_of_its_own_without_quantiles():
    finished = make_finished(methods=1, sparsities=(0.9,), seeds=(0,))
    samples = finished.samples
    samples.loc[samples.set == "rescued", "set"] = "never"
    table = distances.table(finished)
    assert sorted(table.set.unique()) == sorted(SETS)
    rescued = table[table.set == "rescued"]
    assert (rescued.samples == 0).all()
    assert rescued["median"].isna().all()


def test_at_most_so_many_points_are_drawn_and_the_extremes_are_among_them():
    values = np.append(np.random.default_rng(0).normal(size=5000), [np.inf, -np.inf])
    drawn = distances.thinned(values)
    assert len(drawn) == distances.DRAWN
    finite = values[np.isfinite(values)]
    assert (drawn[0], drawn[-1]) == (finite.min(), finite.max())
    assert distances.thinned(np.array([2.0, np.inf, 1.0])).tolist() == [1.0, 2.0]


def wilson(lost, samples, z=1.959963984540054):
    """The interval's formula, written out."""
    share, square = lost / samples, z * z / samples
    middle = (share + square / 2) / (1 + square)
    half = z * np.sqrt(share * (1 - share) / samples + square / (4 * samples)) / (1 + square)
    return share, middle - half, middle + half


def test_loss_by_distance_counts_every_right_sample_once_in_the_bin_of_its_distance(finished):
    table = loss_by_distance.table(finished)
    samples = finished.samples[finished.samples.norm == "Linf"]
    right = samples[samples.set.isin(["kept", "lost"])]
    assert table.samples.sum() == len(right)
    assert table.lost.sum() == (right.set == "lost").sum()
    for row in table.itertuples():
        here = right[
            (right.run == row.run)
            & (right.correctness == row.correctness)
            & (right.method == row.method)
            & (right.sparsity == row.sparsity)
            & (right.boundary_distance <= row.to_distance)
            & ((right.boundary_distance > row.from_distance) | (row.bin == 1))
        ]
        assert row.samples == len(here)
        assert row.lost == (here.set == "lost").sum()
        assert (row.share, row.low, row.high) == pytest.approx(wilson(row.lost, row.samples))


def test_bins_hold_equally_many_and_are_shared_by_all_pairs_of_a_run(finished):
    table = loss_by_distance.table(finished)
    for _, here in table.groupby(["run", "correctness"]):
        assert here.groupby("bin").to_distance.nunique().eq(1).all()
        sizes = here.groupby("bin").samples.sum()
        assert sizes.max() - sizes.min() <= 0.2 * sizes.mean()


def test_an_infinite_distance_is_in_the_last_bin():
    values = np.array([0.1, 0.2, 0.3, np.inf, np.inf, np.inf])
    edges = loss_by_distance.bin_edges(values, 2)
    assert edges.tolist() == [0.0, 0.3, np.inf]
    assert loss_by_distance.bin_numbers(values, edges).tolist() == [1, 1, 1, 2, 2, 2]


def test_equal_distances_share_a_bin():
    values = np.zeros(8)
    edges = loss_by_distance.bin_edges(values, 4)
    assert loss_by_distance.bin_numbers(values, edges).tolist() == [1] * 8


def test_few_samples_make_few_bins():
    table = loss_by_distance.table(make_finished(samples=15, seeds=(0,)))
    assert table.bin.max() == 1


def test_no_right_sample_makes_an_empty_table_with_its_columns():
    finished = make_finished(seeds=(0,))
    finished.samples["set"] = pd.Categorical(["never"] * len(finished.samples), categories=SETS)
    table = loss_by_distance.table(finished)
    assert table.empty
    assert list(table) == loss_by_distance.COLUMNS


def test_auroc_rows_are_those_of_the_threat_norm_and_mark_too_few(finished):
    finished.thin_ice.loc[0, ["lost_samples", "kept_samples"]] = 4, 70
    finished.thin_ice.loc[2, ["lost_samples", "kept_samples"]] = 5, 5
    table = auroc.table(make_finished(runs=2, samples=80))
    assert set(table.norm) == {"Linf"}
    marked = auroc.table(finished)
    assert marked.too_few.iloc[0]
    assert not marked.too_few.iloc[1]


def test_pairs_stand_in_the_order_of_the_study_with_the_controls_last(finished):
    run = finished.runs[0]
    names = [(m, s) for m in ("m0", "m1") for s in (0.9, 0.99)]
    assert finished.pairs(run) == [*names, ("second_seed", 0.0), ("dense_again", 0.0)]


def test_without_distances_in_the_threat_norm_another_norm_is_shown():
    finished = make_finished(norm="L1")
    assert finished.norm in {"Linf", "L2"}
    assert set(finished.main_samples.norm) == {finished.norm}


def test_the_overestimate_table_shows_each_mechanism_that_was_measured(finished):
    header, rows = mechanisms.mechanism_cells(mechanisms.table(finished))
    assert header[:3] == ["run", "network", "claimed by"]
    assert "training mode" not in header  # every protocol is sound in it
    cells = [dict(zip(header, row, strict=True)) for row in rows]
    dense, pruned = cells[0], next(row for row in cells if row["network"] == "m0 0.9")
    assert dense["selection on test"] == "–"
    assert pruned["selection on test"] == "0.4 [-0.6, 1.4]"
    assert pruned["cross-entropy"] == "3.0 [2.0, 4.0]"
    assert pruned["overestimate (points)"] == "5.0 [4.0, 6.0]"
    assert pruned["training mode would add"] == "8.0"

"""The headline table and the thin-ice table as people read them."""

import math

import numpy as np
import pytest
from make_tables import make_finished

from thin_ice.figures.headline import headline_cells, headline_table, markdown
from thin_ice.figures.ice_cells import ice_cells


def test_means_and_deviations_are_over_seeds():
    finished = make_finished(seeds=(0, 1, 2))
    table = headline_table(finished.accuracy)
    # 2 dense rows (one a protocol), 2 methods x 2 sparsities, and dense again
    assert len(table) == 7
    row = table[(table.method == "m1") & (table.sparsity == 0.99)].iloc[0]
    here = finished.accuracy.query("method == 'm1' and sparsity == 0.99").clean_percent
    assert row.clean_mean == pytest.approx(sum(here) / 3)
    assert row.clean_sd == pytest.approx(math.sqrt(sum((v - sum(here) / 3) ** 2 for v in here) / 2))
    assert row.seeds == 3


def test_dense_rows_come_first_and_name_their_protocol():
    finished = make_finished()
    header, rows = headline_cells(headline_table(finished.accuracy))
    protocols = [row[header.index("by protocol")] for row in rows if row[0] == "dense"]
    assert protocols == ["pgd_m0", "pgd_m1"]
    pruned = ["m0 0.9", "m0 0.99", "m1 0.9", "m1 0.99"]
    assert [row[0] for row in rows] == ["dense"] * 2 + pruned + ["dense, fine-tuned again"]
    assert all(len(row) == len(header) for row in rows)


def test_one_seed_has_no_deviation_and_several_runs_have_a_column():
    one = make_finished(seeds=(0,))
    _, rows = headline_cells(headline_table(one.accuracy))
    assert not any("±" in cell for row in rows for cell in row)
    two = make_finished(runs=2)
    header, rows = headline_cells(headline_table(two.accuracy))
    assert header[0] == "run"
    assert {row[0] for row in rows} == set(two.runs)


def remarks_of(finished):
    _, rows = headline_cells(headline_table(finished.accuracy))
    return {row[0]: row[-1] for row in rows}


def test_a_network_at_chance_is_remarked_with_its_seeds():
    finished = make_finished()
    broken = (finished.accuracy.method == "m0") & (finished.accuracy.seed == 0)
    finished.accuracy.loc[broken, "collapse"] = "at_chance"
    remarks = remarks_of(finished)
    assert remarks["m0 0.9"] == "at chance in 1 of 2 seeds"
    assert remarks["m1 0.9"] == ""


def test_every_sign_of_collapse_is_remarked_with_its_own_seeds():
    finished = make_finished(seeds=(0, 1, 2))
    accuracy = finished.accuracy
    here = (accuracy.method == "m0") & (accuracy.sparsity == 0.99)
    accuracy.loc[here, "collapse"] = "at_chance;empty_layer"
    accuracy.loc[here & (accuracy.seed == 1), "collapse"] = "at_chance;constant_prediction"
    accuracy.loc[here & (accuracy.seed != 1), "empty_layers"] = 1
    other = (accuracy.method == "m1") & (accuracy.sparsity == 0.9)
    accuracy.loc[other, "empty_layers"] = accuracy.seed[other] + 1
    remarks = remarks_of(finished)
    assert remarks["m0 0.99"] == (
        "at chance; constant prediction in 1 of 3 seeds; 1 layer empty in 2 of 3 seeds"
    )
    assert remarks["m1 0.9"] == "up to 3 layers empty"
    assert remarks["m0 0.9"] == remarks["dense"] == ""


def test_the_unit_is_a_column_where_one_is_not_single_weights():
    finished = make_finished()
    header, _ = headline_cells(headline_table(finished.accuracy))
    assert "unit" not in header
    finished.accuracy.loc[finished.accuracy.method == "m1", "unit"] = "filter"
    header, rows = headline_cells(headline_table(finished.accuracy))
    units = {row[0]: row[header.index("unit")] for row in rows}
    assert (units["m0 0.9"], units["m1 0.9"], units["dense"]) == ("weight", "filter", "–")
    assert all(len(row) == len(header) for row in rows)


def test_markdown_is_a_table_of_one_line_a_row():
    assert markdown(["a", "b"], [["1", "x|y"]]) == "| a | b |\n| --- | --- |\n| 1 | x\\|y |\n"
    text = markdown(["a"], [["x\ny\\|z"]])
    assert text.splitlines()[2:] == [r"| x y\\\|z |"]


def test_the_thin_ice_table_shows_dashes_for_empty_sets_and_no_interval_of_too_few():
    finished = make_finished()
    thin_ice = finished.thin_ice
    thin_ice.loc[0, ["lost_samples", "lost_median_distance", "auroc_lost"]] = 0, math.nan, math.nan
    thin_ice.loc[1, ["lost_samples", "auroc_lost"]] = 2, 0.99
    thin_ice.loc[2, ["lost_samples", "kept_samples", "lost_median_distance"]] = 5, 5, math.inf
    header, rows = ice_cells(thin_ice)
    auroc, median = header.index("AUROC lost"), header.index("median of lost")
    assert (rows[0][auroc], rows[0][median]) == ("–", "–")
    assert rows[1][auroc] == "0.99 (too few)"
    assert "[" in rows[2][auroc]
    assert rows[2][median] == "∞"
    assert len(rows) == len(thin_ice)


def test_the_sparsity_reached_is_the_mean_and_unconfirmed_samples_the_sum_of_seeds():
    finished = make_finished(seeds=(0, 1))
    accuracy, second = finished.accuracy, finished.accuracy.seed == 1
    accuracy["autoattack_unconfirmed"] = np.where(second, 3, 2)
    accuracy.loc[second, "sparsity_of_prunable"] -= 0.02
    table = headline_table(accuracy)
    row = table[(table.method == "m0") & (table.sparsity == 0.9)].iloc[0]
    assert row.unconfirmed == 5
    assert row.sparsity_reached_percent == pytest.approx(89)

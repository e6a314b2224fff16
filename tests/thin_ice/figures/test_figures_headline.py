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


def test_when_networks_were_pruned_is_a_column_where_it_was_not_always_after_training():
    for same in ((), ("after",)):
        header, _ = headline_cells(headline_table(make_finished(pipelines=same).accuracy))
        assert "pruned" not in header
    for when in ("before", "during"):
        finished = make_finished(pipelines=(when,))
        table = headline_table(finished.accuracy)
        assert dict(zip(table.method, table.pipeline, strict=True)) == {
            **{"dense": "none", "dense_again": "none"},
            **{"m0": when, "m1": "after"},
        }
        header, rows = headline_cells(table)
        pruned = {row[0]: row[header.index("pruned")] for row in rows}
        assert pruned["m0 0.9"] == pruned["m0 0.99"] == f"{when} training"
        assert pruned["m1 0.9"] == "after training"
        assert pruned["dense"] == pruned["dense, fine-tuned again"] == "–"
        assert all(len(row) == len(header) for row in rows)


def test_unit_and_pipeline_stand_in_their_own_columns():
    finished = make_finished(pipelines=("before", "during"))
    finished.accuracy.loc[finished.accuracy.method == "m1", "unit"] = "filter"
    header, rows = headline_cells(headline_table(finished.accuracy))
    cells = {row[0]: dict(zip(header, row, strict=True)) for row in rows}
    assert (cells["m1 0.9"]["unit"], cells["m1 0.9"]["pruned"]) == ("filter", "during training")
    assert (cells["m0 0.9"]["unit"], cells["m0 0.9"]["pruned"]) == ("weight", "before training")


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


def test_the_thin_ice_table_says_what_the_dense_network_is_to_the_other():
    finished = make_finished(methods=3, pipelines=("before", "during", "after"), samples=20)
    header, rows = ice_cells(finished.thin_ice)
    place = header.index("which is its")
    assert place == header.index("compared with dense") + 1
    found = {row[0]: row[place] for row in rows}
    assert found == {
        **{f"{method} {s}": "counterpart" for method in ("m0", "m1") for s in (0.9, 0.99)},
        **{f"m2 {s}": "ancestor" for s in (0.9, 0.99)},
        **{"dense, fine-tuned again": "ancestor", "second dense seed": "counterpart"},
    }


def test_the_sparsity_reached_is_the_mean_and_unconfirmed_samples_the_sum_of_seeds():
    finished = make_finished(seeds=(0, 1))
    accuracy, second = finished.accuracy, finished.accuracy.seed == 1
    accuracy["autoattack_unconfirmed"] = np.where(second, 3, 2)
    accuracy.loc[second, "sparsity_of_prunable"] -= 0.02
    table = headline_table(accuracy)
    row = table[(table.method == "m0") & (table.sparsity == 0.9)].iloc[0]
    assert row.unconfirmed == 5
    assert row.sparsity_reached_percent == pytest.approx(89)

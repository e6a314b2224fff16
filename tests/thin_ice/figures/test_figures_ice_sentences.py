"""Sentences on who is lost change with their tables, and say so where there is too little."""

import numpy as np
import pandas as pd
import pytest
from make_tables import make_finished

from thin_ice.figures import classes, densities, overlap, rivals, thickness
from thin_ice.figures import ice_sentences as say
from thin_ice.margins.analysis import CONTROLS


@pytest.fixture
def finished():
    return make_finished(samples=80)


def test_the_shared_area_is_all_of_equal_histograms_and_none_of_ones_apart(finished):
    bins = densities.table(finished)
    kept = bins[bins.set == "kept"]
    equal = pd.concat([bins[bins.set != "lost"], kept.assign(set="lost")])
    assert "share: 100 % in 4 comparisons, 100 % in 2 controls" in say.densities_sentence(equal)
    apart = kept.assign(set="lost", from_distance=kept.from_distance + 9)
    bins = pd.concat([bins[bins.set != "lost"], apart])
    assert "share: 0 % in 4 comparisons" in say.densities_sentence(bins)


@pytest.mark.parametrize(("lost", "told"), [(5, "share: 100 % in 1"), (4, "too few")])
def test_a_histogram_of_few_samples_says_nothing(lost, told):
    names = {"run": "r", "correctness": "clean", "method": "m0", "sparsity": 0.9, "share": 1.0}
    bins = pd.DataFrame({"set": ["lost", "kept"], "from_distance": 0.0, "samples": [lost, 9]})
    assert told in say.densities_sentence(bins.assign(**names))


def test_the_ice_thickness_is_told_of_pruned_networks_and_of_controls(finished):
    marks = finished.thickness
    pruned = marks.method.isin(["m0", "m1"])
    marks.loc[pruned, "thickness"] = 0.04
    marks.loc[~pruned, "thickness"] = 0.0
    sentence = say.thickness_sentence(thickness.table(finished))
    assert "at 20 % lost is 0.040 in 8 comparisons, 0 in 4 controls" in sentence


def test_the_best_rival_is_named_and_distance_may_be_behind(finished):
    rows = rivals.table(finished)
    assert "the best rival, logit margin, a mean of 0.82" in say.rivals_sentence(rows)
    rows.loc[rows.predictor == "gradient_norm", ["auroc", "auroc_gain_high"]] = 0.99, -0.01
    sentence = say.rivals_sentence(rows)
    assert "the best rival, gradient norm, a mean of 0.99" in sentence
    assert "below 0 in 8 of 32 pairings, not corrected for their number" in sentence
    few = say.rivals_sentence(rows.assign(too_few=True))
    assert few.startswith("Too few samples")
    controls = rows.method.isin(["second_seed", "dense_again"])
    assert f"({(~controls).sum()} rows)" in few
    assert say.rivals_sentence(rows[controls]) == "No pruned network was compared."


def test_ice_of_which_nothing_is_known_is_not_said_to_be_thin(finished):
    marks = finished.thickness
    pruned = marks.method.isin(["m0", "m1"])
    marks.loc[pruned & (marks.seed == 0), "thickness"] = np.nan
    marks.loc[pruned & (marks.seed == 1), "thickness"] = 0.04
    sentence = say.thickness_sentence(thickness.table(finished))
    assert "at 20 % lost is 0.040 in 4 comparisons, 0.020 in 4 controls" in sentence
    marks.loc[pruned, "thickness"] = np.nan
    sentence = say.thickness_sentence(thickness.table(finished))
    assert "at 20 % lost is unknown in 8 comparisons, 0.020 in 4 controls" in sentence


def test_the_class_that_loses_most_is_the_tables(finished):
    rows = classes.table(finished)
    rows.loc[rows.label == 7, "lost_percent"] = 99.0
    sentence = say.classes_sentence(rows, finished.classes)
    assert "class 7 loses most, 99.0 % on average" in sentence
    assert "8 of 80 tests" in sentence
    assert "0 of 80 tests" in say.classes_sentence(rows, finished.classes.assign(adjusted_p=0.05))
    assert "80 of 80 tests" in say.classes_sentence(rows, finished.classes.assign(adjusted_p=0.049))
    wrong = rows.assign(right=0, lost=0, lost_percent=np.nan)
    assert "dense networks have right" in say.classes_sentence(wrong, finished.classes)


def test_overlap_above_chance_is_counted_and_the_order_told(finished):
    rows = overlap.table(finished)
    assert "above chance in 6 of 6 pairs" in say.overlap_sentence(rows, finished.overlap)
    sentence = say.overlap_sentence(rows.assign(jaccard_by_chance=1.1), finished.overlap)
    assert "above chance in 0 of 6 pairs" in sentence
    some = rows.assign(jaccard=np.where(np.arange(len(rows)) % 2, np.nan, rows.jaccard))
    pruned = ~(some.method_a.isin(CONTROLS) | some.method_b.isin(CONTROLS))
    left = int((pruned & some.jaccard.notna() & (some.correctness == "clean")).sum())
    assert f"of {left} pair" in say.overlap_sentence(some, finished.overlap)
    even = rows.assign(jaccard=0.5, jaccard_by_chance=0.5)
    assert "above chance in 0 of 6 pairs" in say.overlap_sentence(even, finished.overlap)
    inside = finished.overlap.assign(inside_percent=61.0)
    assert "61 % is lost at a higher one too (30 % by chance)" in say.overlap_sentence(rows, inside)
    none = inside.seed == 0  # whoever loses nothing has no share of it
    inside.loc[none, ["lost_a", "inside_percent"]] = 0, np.nan
    assert "61 % is lost at a higher one too (30 % by chance)" in say.overlap_sentence(rows, inside)
    nothing = inside.assign(lost_a=0, inside_percent=np.nan)
    assert "at a higher one" not in say.overlap_sentence(rows, nothing)


def test_movement_is_told_by_set(finished):
    rows = finished.movement.assign(change_median=0.0)
    rows.loc[rows.set == "lost", "change_median"] = -0.25
    assert "lost -0.250" in say.movement_sentence(rows)
    assert say.movement_sentence(rows[:0]).startswith("No sample")

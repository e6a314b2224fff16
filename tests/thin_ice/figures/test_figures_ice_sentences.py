"""Sentences on who is lost change with their tables, and say so where there is too little."""

import pandas as pd
import pytest
from make_tables import make_finished

from thin_ice.figures import classes, densities, overlap, rivals, thickness
from thin_ice.figures import ice_sentences as say


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
    assert say.rivals_sentence(rows.assign(too_few=True)).startswith("Too few samples")


def test_the_class_that_loses_most_is_the_tables(finished):
    rows = classes.table(finished)
    rows.loc[rows.label == 7, "lost_percent"] = 99.0
    sentence = say.classes_sentence(rows, finished.classes)
    assert "class 7 loses most, 99.0 % on average" in sentence
    assert "8 of 80 tests" in sentence
    assert "0 of 80 tests" in say.classes_sentence(rows, finished.classes.assign(adjusted_p=0.5))


def test_overlap_above_chance_is_counted_and_the_order_told(finished):
    rows = overlap.table(finished)
    assert "above chance in 6 of 6 pairs" in say.overlap_sentence(rows, finished.overlap)
    sentence = say.overlap_sentence(rows.assign(jaccard_by_chance=1.1), finished.overlap)
    assert "above chance in 0 of 6 pairs" in sentence
    inside = finished.overlap.assign(inside_percent=61.0)
    assert "61 % is lost at a higher one too (30 % by chance)" in say.overlap_sentence(rows, inside)


def test_movement_is_told_by_set(finished):
    rows = finished.movement.assign(change_median=0.0)
    rows.loc[rows.set == "lost", "change_median"] = -0.25
    assert "lost -0.250" in say.movement_sentence(rows)
    assert say.movement_sentence(rows[:0]).startswith("No sample")

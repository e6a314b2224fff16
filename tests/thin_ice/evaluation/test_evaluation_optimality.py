"""AttackBench's local optimality: 1 for the envelope, 0 for what breaks nothing."""

import numpy as np
import pandas as pd
import pytest

from thin_ice.evaluation.optimality import optimality_table


def standing(attacks, correct=None):
    table = pd.DataFrame(attacks)
    table["correct"] = True if correct is None else correct
    return optimality_table(table, {"Linf": list(attacks)}).set_index("attack")


def by_areas(found, envelope):
    """The definition, with the areas integrated over a fine grid."""
    farthest = max(value for value in envelope if np.isfinite(value))
    radii = np.linspace(0, farthest, 200_001)
    area, least = (
        np.trapezoid([np.mean(np.array(one) > r) for r in radii], radii)
        for one in (found, envelope)
    )
    return 1 - (area - least) / (farthest - least)


def test_the_envelope_itself_is_optimal_and_an_attack_that_breaks_nothing_worth_0():
    rows = standing({"all": [0.1, 0.2, 0.3], "none": [np.inf] * 3})
    assert rows.optimality.tolist() == [1, 0]
    assert rows.best_percent.tolist() == [100, 0]
    assert rows.failed_percent.tolist() == [0, 100]


def test_optimality_is_the_ratio_of_areas():
    attacks = {"a": [0.1, 0.5, 0.3, np.inf], "b": [0.2, 0.25, 0.7, 0.4]}
    envelope = np.minimum(attacks["a"], attacks["b"])
    rows = standing(attacks)
    for name, found in attacks.items():
        assert rows.optimality[name] == pytest.approx(by_areas(found, envelope), abs=1e-4)


def test_nearest_counts_ties_for_both_and_never_a_failure():
    rows = standing({"a": [0.1, 0.2, np.inf, 0.5], "b": [0.1, 0.3, np.inf, 0.4]})
    assert rows.best_percent.tolist() == [50, 50]
    assert rows.failed_percent.tolist() == [25, 25]


def test_misclassified_samples_do_not_count():
    rows = standing({"a": [0.1, 9.0], "b": [0.2, np.nan]}, correct=[True, False])
    assert rows.samples.tolist() == [1, 1]
    assert rows.median_distance.tolist() == [0.1, 0.2]
    assert rows.optimality["a"] == 1


def test_one_distance_alone_tells_no_attacks_apart():
    rows = standing({"found": [0.2, np.inf], "failed": [np.inf, np.inf]})
    assert rows.optimality["found"] == 1
    assert np.isnan(rows.optimality["failed"])


@pytest.mark.parametrize("values", [[], [np.inf, np.inf]])
def test_where_nothing_is_found_there_is_no_optimality(values):
    table = pd.DataFrame({"a": np.array(values, dtype=float)})
    rows = optimality_table(table.assign(correct=np.ones(len(table), dtype=bool)), {"L2": ["a"]})
    assert np.isnan(rows.optimality[0])

"""P-values of many tests are adjusted for their number."""

import numpy as np
import pytest

from thin_ice.margins.many_tests import adjusted


def test_adjusted_p_values_are_benjamini_and_yekutielis():
    """By hand: sorted, times n / rank and the harmonic sum, the smallest of it and what follows."""
    p = np.array([0.5, 0.001, 0.02, 0.03])
    factor = 4 * (1 + 1 / 2 + 1 / 3 + 1 / 4)
    third = 0.03 * factor / 3
    expected = [min(1, 0.5 * factor / 4), 0.001 * factor, min(0.02 * factor / 2, third), third]
    assert adjusted(p) == pytest.approx(np.array(expected))


def test_what_is_nan_or_not_tested_neither_gets_nor_costs_a_correction():
    p = np.array([0.01, np.nan, 0.04, 0.2])
    found = adjusted(p, [True, True, False, True])
    assert np.isnan(found).tolist() == [False, True, True, False]
    assert found[[0, 3]] == pytest.approx(adjusted(p[[0, 3]]))
    assert np.isnan(adjusted([np.nan, np.nan])).all()


def test_an_adjusted_p_value_is_never_below_its_own():
    rng = np.random.default_rng(0)
    for size in (1, 2, 30):
        p = rng.random(size) ** 3
        assert (adjusted(p) >= p).all()
        assert (adjusted(p) <= 1).all()

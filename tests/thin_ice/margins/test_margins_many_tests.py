"""P-values of many tests are adjusted for their number."""

import numpy as np
import pytest
from scipy.stats import binom, norm

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


@pytest.mark.parametrize("together", [0.0, 0.9])
def test_under_the_null_any_of_many_stands_at_most_5_times_in_100(together):
    """500 draws of 20 tests each, independent ones and ones that share most of their noise."""
    rng, draws, stands, uncorrected = np.random.default_rng(0), 500, 0, 0
    for _ in range(draws):
        shared = np.sqrt(together) * rng.normal()
        p = 2 * norm.sf(np.abs(shared + np.sqrt(1 - together) * rng.normal(size=20)))
        stands += adjusted(p).min() < 0.05
        uncorrected += p.min() < 0.05
    assert uncorrected > 0.1 * draws
    assert stands <= binom.ppf(0.9995, draws, 0.05)


def test_an_adjusted_p_value_is_never_below_its_own():
    rng = np.random.default_rng(0)
    for size in (1, 2, 30):
        p = rng.random(size) ** 3
        assert (adjusted(p) >= p).all()
        assert (adjusted(p) <= 1).all()

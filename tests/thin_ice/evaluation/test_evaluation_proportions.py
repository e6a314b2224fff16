"""Shares with their intervals."""

import numpy as np
import pytest
from scipy.stats import binomtest

from thin_ice.evaluation.proportions import percent_with_interval, wilson


@pytest.mark.parametrize(("count", "total"), [(0, 7), (7, 7), (3, 7), (1, 400), (180, 400)])
def test_wilsons_interval_is_scipys(count, total):
    expected = binomtest(count, total).proportion_ci(0.95, "wilson")
    assert np.array(wilson(count, total)) == pytest.approx([count / total, *expected], abs=1e-9)


def test_none_and_all_end_at_0_and_at_100_percent():
    """Exactly, at every size, whatever rounding does."""
    sizes = np.arange(1, 200)
    none = percent_with_interval(np.zeros(199), sizes, ("share", "low", "high"))
    whole = percent_with_interval(sizes, sizes, ("share", "low", "high"))
    assert not none["low"].any()
    assert not none["share"].any()
    assert (whole["high"] == 100).all()
    assert (whole["share"] == 100).all()


def test_a_share_of_nothing_is_nan():
    assert np.isnan(wilson(0, 0)).all()

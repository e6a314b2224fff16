"""Shares with their intervals, and p-values of many tests at once."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import false_discovery_control

from thin_ice.margins.statistics import Z

ENOUGH = 10  # lost and kept samples that a test is corrected and a model fitted for


def wilson(count: ArrayLike, total: ArrayLike) -> tuple[NDArray, NDArray, NDArray]:
    """Shares with their intervals at 95 % (Wilson 1927); NaN of nothing."""
    count, total = np.asarray(count, float), np.asarray(total, float)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = count / total
        middle = (share + Z**2 / (2 * total)) / (1 + Z**2 / total)
        half = Z * np.sqrt(share * (1 - share) / total + Z**2 / (4 * total**2)) / (1 + Z**2 / total)
    # None and all are their own ends; rounding would leave them a hair off.
    low = np.where(count == 0, share, middle - half)
    high = np.where(count == total, share, middle + half)
    return share, low, high


def percent_with_interval(count: ArrayLike, total: ArrayLike, names: Sequence[str]) -> dict:
    """Three columns, named: Wilson's share and the ends of its interval, in percent."""
    return {name: 100 * values for name, values in zip(names, wilson(count, total), strict=True)}


def adjusted(p: ArrayLike, tested: ArrayLike | None = None) -> NDArray[np.float64]:
    """p-values adjusted for their number, under any dependence (Benjamini & Yekutieli 2001): what
    falls below q is expected to be wrong in a share of at most q.

    ``tested``: which ones count; without it all that are not NaN. The others are NaN.
    """
    p = np.asarray(p, float)
    counted = ~np.isnan(p) & (True if tested is None else np.asarray(tested, bool))
    found = np.full(len(p), np.nan)
    if counted.any():
        found[counted] = false_discovery_control(p[counted], method="by")
    return found

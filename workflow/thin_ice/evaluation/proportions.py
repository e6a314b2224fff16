"""Shares with their intervals."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

Z = float(ndtri(0.975))  # of intervals at 95 %


def wilson(count: ArrayLike, total: ArrayLike) -> tuple[NDArray, NDArray, NDArray]:
    """Shares with their intervals at 95 % (Wilson 1927), for many at once; NaN of nothing.

    scipy's `binomtest` has the same for one share of whole numbers, at the price of importing
    `scipy.stats`, which takes a job longer than its evaluation.
    """
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

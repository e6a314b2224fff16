"""Does distance tell which samples are lost? AUROC with bootstrap intervals, for any two sets."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Auroc:
    """Probability that a member of the first set lies nearer than one of the second, ties half.

    ``low`` and ``high``: percentile bootstrap interval at 95 %. All NaN where a set is empty.
    """

    value: float
    low: float
    high: float


def auroc(nearer: Values, farther: Values) -> float:
    """P(a < b) + P(a = b) / 2 for a drawn from ``nearer`` and b from ``farther``: 0.5 by chance,
    1 when the first set lies wholly nearer. Infinite distances are farthest.
    """
    if not len(nearer) or not len(farther):
        return float("nan")
    ranks = rankdata(np.concatenate([nearer, farther]))
    pairs = len(nearer) * len(farther)
    wins = ranks[len(nearer) :].sum() - len(farther) * (len(farther) + 1) / 2
    return float(wins / pairs)


def auroc_with_interval(
    nearer: Values, farther: Values, resamples: int, rng: np.random.Generator
) -> Auroc:
    """AUROC with an interval from resampling the samples of each set (set sizes held)."""
    value = auroc(nearer, farther)
    if np.isnan(value):
        return Auroc(value, value, value)
    draws = _bootstrap(nearer, farther, resamples, rng)
    low, high = np.quantile(draws, [0.025, 0.975])
    return Auroc(value, float(low), float(high))


def _bootstrap(nearer: Values, farther: Values, resamples: int, rng: np.random.Generator) -> Values:
    """AUROCs of ``resamples`` draws. Sorting once makes each draw a weighted sum over values."""
    values, place = np.unique(np.concatenate([nearer, farther]), return_inverse=True)
    draws = np.empty(resamples)
    for index in range(resamples):
        a = _resampled_counts(place[: len(nearer)], len(values), rng)
        b = _resampled_counts(place[len(nearer) :], len(values), rng)
        beyond = b[::-1].cumsum()[::-1] - b / 2  # members of the second set farther out, ties half
        draws[index] = a @ beyond
    return draws / (len(nearer) * len(farther))


def _resampled_counts(place: NDArray[np.intp], bins: int, rng: np.random.Generator) -> Values:
    """How often each distinct value occurs in a resample with replacement."""
    drawn = place[rng.integers(len(place), size=len(place))]
    return np.bincount(drawn, minlength=bins).astype(np.float64)

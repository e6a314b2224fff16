"""Does distance tell which samples are lost? AUROC with intervals, for any two sets.

A percentile bootstrap is far too narrow for small sets (with 5 lost samples its nominal 95 % covers
72 to 89 %, and at AUROC 1 its width is 0), and pruning often loses few. So the interval is the
wider of the bootstrap's and Newcombe's (Statistics in Medicine 2006, method 5) at each end; it
covered 92 to 100 % in simulations with 1 to 20 lost samples.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import rankdata

from thin_ice.evaluation.proportions import Z
from thin_ice.margins.resampling import QUANTILES, Values, aurocs, stratified_counts

TINY = 1e-9


@dataclass(frozen=True)
class Auroc:
    """Probability that a member of the first set lies nearer than one of the second, ties half.

    ``low`` and ``high``: interval at 95 %, see the module. All NaN where a set is empty.
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
    """AUROC with its interval; the bootstrap resamples each set on its own (set sizes held)."""
    value = auroc(nearer, farther)
    if np.isnan(value):
        return Auroc(value, value, value)
    first = np.arange(len(nearer) + len(farther)) < len(nearer)
    counts = stratified_counts(first, resamples, rng)
    draws = aurocs(np.concatenate([nearer, farther]), first, counts)
    return Auroc(value, *auroc_interval(value, draws, len(nearer), len(farther)))


def auroc_interval(value: float, draws: Values, first: int, second: int) -> tuple[float, float]:
    """The wider at each end of the bootstrap's interval, from its ``draws``, and Newcombe's."""
    low, high = np.quantile(draws, QUANTILES)
    closed_low, closed_high = newcombe_interval(value, first, second)
    return min(float(low), closed_low), max(float(high), closed_high)


def newcombe_interval(value: float, first: int, second: int) -> tuple[float, float]:
    """The AUROCs t that an observed one does not contradict: |value - t| <= z sd(t), where
    sd(t)^2 = t (1 - t) (1 + n ((1 - t) / (2 - t) + t / (1 + t))) / (first * second) and
    n = (first + second) / 2 - 1.
    """

    def excess(t: float, side: int) -> float:
        spread = 1 + ((first + second) / 2 - 1) * ((1 - t) / (2 - t) + t / (1 + t))
        return side * (value - t) - Z * math.sqrt(t * (1 - t) * spread / (first * second))

    # Just off the observed value, since at 0 and 1 it is a root itself.
    low = brentq(excess, 0.0, value - TINY, args=(1,)) if value > TINY else 0.0
    high = brentq(excess, value + TINY, 1.0, args=(-1,)) if value < 1 - TINY else 1.0
    return low, high

"""The thin-ice statistics once more, the slow and plain way, to hold the library against."""

import numpy as np
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

FAR = 1e9  # stands for infinity, which scikit-learn refuses; ranks are all that counts


def auroc(nearer, farther):
    """P(nearer < farther), by scikit-learn: a near sample is to score high."""
    if not len(nearer) or not len(farther):
        return np.nan
    truth = np.r_[np.ones(len(nearer)), np.zeros(len(farther))]
    distances = np.r_[nearer, farther].clip(max=FAR)
    return roc_auc_score(truth, -distances)


def interval(nearer, farther, resamples, rng):
    """The wider at each end of two intervals: the 2.5 % and 97.5 % quantiles of the AUROCs of plain
    resamples (the nearer set drawn first), and Newcombe's, found on a fine grid.
    """
    if not len(nearer) or not len(farther):
        return np.nan, np.nan
    draws = []
    for _ in range(resamples):
        a = nearer[rng.integers(len(nearer), size=len(nearer))]
        b = farther[rng.integers(len(farther), size=len(farther))]
        draws.append(auroc(a, b))
    low, high = np.quantile(draws, [0.025, 0.975])
    grid = newcombe(auroc(nearer, farther), len(nearer), len(farther))
    return min(low, grid.min()), max(high, grid.max())


def newcombe(value, m, n):
    """Every AUROC on a grid that the observed one does not contradict at 95 %."""
    t = np.linspace(0, 1, 1_000_001)
    mean = (m + n) / 2 - 1
    variance = t * (1 - t) * (1 + mean * (1 - t) / (2 - t) + mean * t / (1 + t)) / (m * n)
    return t[(value - t) ** 2 <= norm.ppf(0.975) ** 2 * variance + 1e-15]

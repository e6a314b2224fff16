"""The thin-ice statistics once more, the slow and plain way, to hold the library against."""

import numpy as np
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
    """2.5 % and 97.5 % quantiles of the AUROCs of plain resamples, the nearer set drawn first."""
    if not len(nearer) or not len(farther):
        return np.nan, np.nan
    draws = []
    for _ in range(resamples):
        a = nearer[rng.integers(len(nearer), size=len(nearer))]
        b = farther[rng.integers(len(farther), size=len(farther))]
        draws.append(auroc(a, b))
    return tuple(np.quantile(draws, [0.025, 0.975]))

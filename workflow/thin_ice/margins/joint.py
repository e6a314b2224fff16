"""What does distance add to its rivals together?

Logistic regression of "lost" on the standardised rivals, without and with distance. Two answers:

- the likelihood-ratio test of the one coefficient that distance adds (chi-squared, 1 degree of
  freedom), on all samples;
- the AUROC of out-of-fold scores without and with it, on the same folds, with the paired bootstrap
  interval of the gain.

Where a predictor separates lost from kept, the likelihood has no maximum; a slight ridge penalty
(`RIDGE` / 2 times the squared coefficients, the intercept free) then bounds the coefficients. The
ratio is of the penalised likelihoods, so it is never negative; with predictors in units of their
standard deviations the penalty weighs as much as a small part of one sample. Under the null, with
1 or 6 rivals, the test rejected 3 to 8 times in 100 with 20 to 120 lost samples; with fewer lost
samples a rival expect more.

Infinite values become the largest finite one; predictors that are the same for all are left out.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, log_expit
from scipy.stats import chi2
from sklearn.model_selection import StratifiedKFold

from thin_ice.margins.many_tests import ENOUGH, adjusted
from thin_ice.margins.predictors import main_distance
from thin_ice.margins.resampling import QUANTILES, Counts, Flags, Values, aurocs, once
from thin_ice.margins.views import NORMALISED, RIVALS, VIEW_COLUMNS, View

RIDGE = 0.01
FOLDS = 5
STEPS, TOLERANCE = 100, 1e-10
COLUMNS = (
    *VIEW_COLUMNS,
    *("samples", "lost", "auroc_without", "auroc_with", "gain", "gain_low", "gain_high"),
    *("likelihood_ratio", "p", "adjusted_p", "distance_coefficient"),
)

Matrix = NDArray[np.float64]


def joint_table(views: list[View]) -> pd.DataFrame:
    """One row a view. NaN with fewer than `ENOUGH` lost or kept samples, without rivals, and
    without distances. ``distance_coefficient``: log odds of being lost per standard deviation of
    distance, all else equal. P-values are adjusted over the rows.
    """
    table = pd.DataFrame([view.labels | _row(view) for view in views], columns=COLUMNS)
    return table.assign(adjusted_p=adjusted(table.p.astype(float)))


def _row(view: View) -> dict[str, float]:
    lost, distance = view.lost, main_distance(view)
    row: dict[str, float] = {"samples": len(lost), "lost": int(lost.sum())}
    rivals = _rivals(view)
    if min(lost.sum(), (~lost).sum()) < ENOUGH or distance is None or not rivals:
        return row
    return row | joint_row(
        standardised(rivals), standardised([distance]), lost, view.counts(), view.setting.seed
    )


def joint_row(
    rivals: Matrix, distance: Matrix, lost: Flags, counts: Counts, seed: int
) -> dict[str, float]:
    """The numbers of one view.

    Args:
        rivals: (N, K), standardised.
        distance: (N, 1), standardised; (N, 0) where it is the same for all samples.
        lost: (N,).
        counts: (N, R), resamples for the interval of the gain.
        seed: of the folds.
    """
    both = np.hstack([rivals, distance])
    (_, without), (coefficients, with_it) = (fit(x, lost) for x in (rivals, both))
    ratio = 2 * (with_it - without)
    row = _gain(*(-out_of_fold(x, lost, seed) for x in (rivals, both)), lost, counts)
    if not distance.size:
        return row
    tested = {"likelihood_ratio": ratio, "p": float(chi2.sf(ratio, 1))}
    return row | tested | {"distance_coefficient": float(coefficients[-1])}


def _gain(without: Values, with_it: Values, lost: Flags, counts: Counts) -> dict[str, float]:
    """Low scores expect a loss."""
    first, second = (float(aurocs(x, lost, once(len(lost)))[0]) for x in (without, with_it))
    draws = aurocs(with_it, lost, counts) - aurocs(without, lost, counts)
    low, high = np.quantile(draws, QUANTILES)
    row = {"auroc_without": first, "auroc_with": second, "gain": second - first}
    return row | {"gain_low": float(low), "gain_high": float(high)}


def _rivals(view: View) -> list[Values]:
    found = [values for (name, _), values in view.scores.items() if name in RIVALS]
    norm = view.setting.threat_norm
    if (normalised := view.scores.get((NORMALISED, norm))) is not None:
        with np.errstate(divide="ignore"):
            found.append(np.log(normalised))
    return found


def standardised(columns: list[Values]) -> Matrix:
    """Mean 0 and standard deviation 1, infinite values at the ends of the finite ones; columns
    without spread or with a sample that lacks the value are left out.
    """
    kept = []
    for values in columns:
        finite = values[np.isfinite(values)]
        if np.isnan(values).any() or not len(finite):
            continue
        values = values.clip(finite.min(), finite.max())
        if (spread := values.std()) > 1e-12 * max(1.0, np.abs(values).max()):
            kept.append((values - values.mean()) / spread)
    return np.column_stack(kept) if kept else np.empty((len(columns[0]), 0))


def fit(predictors: Matrix, lost: Flags) -> tuple[Values, float]:
    """Intercept and coefficients of the penalised logistic regression, and its largest penalised
    log-likelihood, by Newton's method with halved steps.
    """
    design = np.column_stack([np.ones(len(lost)), predictors])
    penalty = np.full(design.shape[1], RIDGE)
    penalty[0] = 0.0
    signs = np.where(lost, 1.0, -1.0)

    def likelihood(beta: Values) -> float:
        return float(log_expit(signs * (design @ beta)).sum() - penalty @ beta**2 / 2)

    beta = np.zeros(design.shape[1])
    best = likelihood(beta)
    for _ in range(STEPS):
        chance = expit(design @ beta)
        gradient = design.T @ (lost - chance) - penalty * beta
        curvature = (design.T * (chance * (1 - chance))) @ design + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        if gradient @ step < TOLERANCE:
            break
        while (found := likelihood(beta + step)) < best:
            step = step / 2
        beta, best = beta + step, found
    return beta, best


def out_of_fold(predictors: Matrix, lost: Flags, seed: int) -> Values:
    """For each sample its log odds of being lost, by a model that was fitted without its fold."""
    scores = np.empty(len(lost))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    for others, own in folds.split(predictors, lost):
        beta, _ = fit(predictors[others], lost[others])
        scores[own] = beta[0] + predictors[own] @ beta[1:]
    return scores

"""Security curves: robust accuracy against eps, from minimum-norm distances. Needs no torch.

A sample is robust at eps where it is classified correctly and its distance is above eps. Distances
are upper bounds, so the curve is one of robust accuracy, and AutoAttack is the check: it searches
at one eps alone, so where the curve lies above its 95 % interval the distances are too large.
A sample whose attacks all failed counts as robust at every eps; the share of such is given beside.
"""

import numpy as np
import pandas as pd

POINTS_TO_EPS = 20  # eps is the 20th point of the grid
MOST = 5  # the grid ends at the latest there, in multiples of eps


def grid(distances: list[pd.DataFrame], norm: str, eps: float) -> np.ndarray:
    """Radii from 0 in twentieths of ``eps``, to where every curve has ended or to 5 eps."""
    column = f"distance_{norm.lower()}"
    values = np.concatenate([[eps], *(one[column][one.correct] for one in distances)])
    farthest = min(values[np.isfinite(values)].max() / eps, MOST)
    # Divided first, so that eps itself is among them: 20 * eps / 20 is a hair off for some eps.
    return np.arange(int(np.ceil(farthest * POINTS_TO_EPS)) + 1) / POINTS_TO_EPS * eps


def security_curve(
    distances: pd.DataFrame, norm: str, radii: np.ndarray, eps: float, autoattack: dict
) -> pd.DataFrame:
    """One network's curve, a row a radius.

    Args:
        distances: its table of distances.
        norm: the threat model's.
        radii: where to look, one of them ``eps``.
        eps: the study's, at which AutoAttack ran.
        autoattack: AutoAttack's accuracy as `thin_ice.evaluation.metrics.accuracy` gives it, and
            what `thin_ice.margins.agreement.contradictions` counted.

    Columns: norm, eps, robust_percent, failed_percent (part of it: correct, and no flip found);
    at the study's eps AutoAttack's numbers (``autoattack_*``), and whether the curve lies above
    its interval.
    """
    found = distances[f"distance_{norm.lower()}"].to_numpy(float)
    correct = distances.correct.to_numpy(bool)
    robust = [100 * float(np.mean(correct & (found > radius))) for radius in radii]
    curve = pd.DataFrame({"norm": norm, "eps": radii, "robust_percent": robust})
    curve["failed_percent"] = 100 * float(np.mean(correct & np.isinf(found)))
    here = np.isclose(curve.eps, eps, rtol=1e-9, atol=0)
    for name, value in autoattack.items():
        curve[f"autoattack_{name}"] = np.where(here, value, np.nan)
    above = np.where(curve.robust_percent > curve.autoattack_high_percent, "yes", "no")
    curve["above_autoattack"] = np.where(here, above, "")
    return curve

"""P-values of many tests at once."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import false_discovery_control

ENOUGH = 10  # lost and kept samples that a test is corrected and a model fitted for


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

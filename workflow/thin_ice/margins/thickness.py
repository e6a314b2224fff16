"""How thick is the ice: the distance under which more than a given share of samples is lost.

The chance of being lost is fitted as a function of distance that never rises (isotonic regression,
least squares). The ice thickness at q is the largest distance of a sample at which the fit exceeds
q, and 0 where it does so nowhere.

The fit itself is not needed: it exceeds q on exactly those nearest samples for which the sum of
(lost - q) is largest (the fewest of them where several numbers of samples share the largest sum),
since any block that the fit averages to more than q adds to that sum and any other does not. So a
resample costs one cumulative sum, in whole numbers for exactness.

The interval is the percentile bootstrap's over samples, and a guide only: an isotonic fit settles
slowly. Where the chance falls smoothly it covered 85 to 97 % at shares of 0.2 and 0.5 with 150 to
2000 samples, and at 0.05, out where few samples stand, 34 to 48 % with 150 and 66 to 95 % with 400
or more. Where the chance drops at once the thickness is the last lost sample before the drop.
"""

from fractions import Fraction

import numpy as np
import pandas as pd

from thin_ice.margins.resampling import Counts, Flags, Values, along, interval, once, plain_counts
from thin_ice.margins.views import DISTANCE, VIEW_COLUMNS, View

SHARES = (0.05, 0.2, 0.5)
COLUMNS = (
    *VIEW_COLUMNS,
    *("norm", "share", "thickness", "thickness_low", "thickness_high", "samples", "lost"),
)


def thickness_table(views: list[View]) -> pd.DataFrame:
    """One row a view, norm and share of `SHARES`; distances in the norm's own units, NaN where the
    dense network has no sample right.
    """
    return pd.DataFrame([row for view in views for row in _rows(view)], columns=COLUMNS)


def _rows(view: View) -> list[dict[str, object]]:
    rows, resamples = [], view.setting.resamples
    counts = plain_counts(len(view.lost), resamples, view.setting.rng())
    for (name, norm), distances in view.scores.items():
        if name != DISTANCE:
            continue
        for share in SHARES:
            row = view.labels | {"norm": norm, "share": share}
            row |= {"samples": len(view.lost), "lost": int(view.lost.sum())}
            rows.append(row | thickness_with_interval(distances, view.lost, share, counts))
    return rows


def thickness_with_interval(
    distances: Values, lost: Flags, share: float, counts: Counts
) -> dict[str, float]:
    """``counts`` (N, R): how often each sample occurs in each resample."""
    if not len(lost):
        return {}
    (value,) = thickness(distances, lost, share, once(len(lost)))
    low, high = interval(thickness(distances, lost, share, counts))
    return {"thickness": float(value), "thickness_low": low, "thickness_high": high}


def thickness(distances: Values, lost: Flags, share: float, counts: Counts) -> Values:
    """Ice thickness (R,) at ``share`` in each resample.

    Args:
        distances: (N,), >= 0, infinite where no flip was found.
        lost: (N,).
        share: above which the chance of being lost is to lie, in [0, 1).
        counts: (N, R).
    """
    exact = Fraction(share).limit_denominator(10_000)
    if not lost.any():
        return np.zeros(counts.shape[1])
    # The sum can only be largest where it has just risen: at a distance with lost samples.
    stops, hits, _, kept = along(distances, lost, counts)
    sums = (exact.denominator - exact.numerator) * hits.cumsum(axis=0) - exact.numerator * kept
    best = sums.argmax(axis=0)
    return np.where(sums.max(axis=0) > 0, stops[best], 0.0)

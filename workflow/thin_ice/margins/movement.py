"""How far did the boundary move: a sample's signed distance on the other network less that on the
dense one, by the set that the sample fell into.
"""

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from thin_ice.margins.analysis import sample_table
from thin_ice.margins.ice import SETS
from thin_ice.margins.resampling import Values, bootstrap_medians, interval
from thin_ice.margins.views import PAIR_COLUMNS, Setting, View

COLUMNS = (
    *PAIR_COLUMNS,
    *("norm", "set", "samples", "infinite", "dense_median", "other_median"),
    *("change_median", "change_low", "change_high", "closer_percent", "spearman"),
)


def movement_table(views: list[View]) -> pd.DataFrame:
    """One row a pair, norm and set of the clean partition.

    ``samples``: those with a finite distance on both networks; ``infinite``: the set's others.
    Medians are of signed distances, ``change_*`` of the other's less the dense one's, sample by
    sample, with the bootstrap interval of the median at 95 %. ``closer_percent``: of samples whose
    signed distance fell: to those that both networks have right, the boundary came closer.
    ``spearman``: rank correlation of the two distances; NaN of fewer than three samples.
    """
    rows = [
        view.pair.labels | {"norm": norm, "set": name} | _row(members, view.setting)
        for view in views
        if view.correctness == "clean"
        for norm in view.setting.norms
        for name, members in _sets(view, norm)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _sets(view: View, norm: str) -> list[tuple[str, pd.DataFrame]]:
    table = sample_table(view.pair, "clean", norm, view.setting.eps)
    return [(name, table[table.set == name]) for name in SETS]


def _row(members: pd.DataFrame, setting: Setting) -> dict[str, float]:
    dense, other = (
        members[column].to_numpy(np.float64)
        for column in ("signed_distance", "other_signed_distance")
    )
    finite = np.isfinite(dense) & np.isfinite(other)
    row = {"samples": int(finite.sum()), "infinite": int((~finite).sum())}
    return row | movement(dense[finite], other[finite], setting) if finite.any() else row


def movement(dense: Values, other: Values, setting: Setting) -> dict[str, float]:
    """The numbers of one set: finite signed distances (N,) on the two networks, N > 0."""
    change = other - dense
    low, high = interval(bootstrap_medians(change, setting.resamples, setting.rng()))
    return {
        "dense_median": float(np.median(dense)),
        "other_median": float(np.median(other)),
        "change_median": float(np.median(change)),
        "change_low": low,
        "change_high": high,
        "closer_percent": 100 * float((change < 0).mean()),
        "spearman": _spearman(dense, other),
    }


def _spearman(first: Values, second: Values) -> float:
    ranks = rankdata(first), rankdata(second)
    if len(first) < 3 or any(np.ptp(one) == 0 for one in ranks):
        return np.nan
    return float(np.corrcoef(*ranks)[0, 1])

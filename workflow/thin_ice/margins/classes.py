"""Whom does pruning lose: class by class."""

import numpy as np
import pandas as pd
from scipy.stats import fisher_exact

from thin_ice.evaluation.proportions import percent_with_interval
from thin_ice.margins.ice import SETS
from thin_ice.margins.many_tests import adjusted
from thin_ice.margins.views import VIEW_COLUMNS, View

COLUMNS = (
    *VIEW_COLUMNS,
    *("label", "right", "lost", "lost_percent", "low", "high", "rescued"),
    *("dense_percent", "other_percent", "difference_p", "adjusted_p"),
)


def classes_table(views: list[View]) -> pd.DataFrame:
    """One row a view and class of the test split.

    ``right``: samples of the class that the dense network has right; ``lost`` of them, in percent
    with Wilson's interval at 95 %. ``dense_percent`` and ``other_percent``: the two networks'
    accuracies on the class. ``difference_p``: Fisher's exact test of lost and kept in this class
    against all others, NaN where no sample of the class, or of the others, was right; adjusted
    over all rows.
    """
    tables = [_table(view) for view in views]
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)
    return table.assign(adjusted_p=adjusted(table.difference_p.astype(float)))[list(COLUMNS)]


def _table(view: View) -> pd.DataFrame:
    counts = pd.crosstab(view.table.label, view.table.set.astype(str))
    counts = counts.reindex(columns=list(SETS), fill_value=0)
    kept, lost, rescued = counts.kept, counts.lost, counts.rescued
    right, total = kept + lost, counts.sum(axis=1)
    table = pd.DataFrame({"label": counts.index, "right": right, "lost": lost, "rescued": rescued})
    table = table.assign(
        **percent_with_interval(lost, right, ("lost_percent", "low", "high")),
        dense_percent=100 * right / total,
        other_percent=100 * (kept + rescued) / total,
        difference_p=[difference_p(*one, lost, kept) for one in zip(lost, kept, strict=True)],
    )
    return table.reset_index(drop=True).assign(**view.labels)


def difference_p(lost: int, kept: int, all_lost: pd.Series, all_kept: pd.Series) -> float:
    """Fisher's exact test, two-sided: is a class with so many lost and kept like the others?"""
    others = all_lost.sum() - lost, all_kept.sum() - kept
    if lost + kept == 0 or sum(others) == 0:
        return np.nan
    return float(fisher_exact([[lost, kept], others]).pvalue)

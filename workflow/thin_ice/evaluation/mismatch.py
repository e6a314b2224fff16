"""What is lost when pruning fine-tunes after another objective than the network was trained with.

The first insight of Sehwag et al. (2019, arXiv 1906.06110): pre-training and fine-tuning must share
the objective that one wants in the end. Here as a table over every pair of objectives that the
study has: trained with A, fine-tuned with B, held against trained and fine-tuned with B.
"""

import numpy as np
import pandas as pd

from thin_ice.evaluation.preservation import GOAL
from thin_ice.evaluation.summary import NO_PROTOCOL

PERCENT = {  # by measure, its column in the table of accuracies
    "benign": "clean_percent",
    "empirical": "claimed_percent",
    "autoattack": "autoattack_percent",
    "verified": "verified_percent",
    "smoothed": "smoothed_percent",
}
# Prune options may differ by label, and so may what a method prunes and fine-tunes with.
GROUP = ["dataset", "model", "kind", "unit", "sparsity"]
PAIR = ["trained_with", "tuned_with"]
MEASURE = ["measure", "protocol"]
VALUES = ("percent", "lowest", "highest", "networks", "seeds", "lost_points", "of_goal")
COLUMNS = (*GROUP, *PAIR, *MEASURE, *VALUES)


def mismatch_table(accuracy: pd.DataFrame) -> pd.DataFrame:
    """One row a dataset, model, kind and unit of method, sparsity, pair of objectives and measure,
    of those in which some network was fine-tuned with another objective than it was trained with.

    Columns: ``percent``, the mean over seeds (a seed's networks averaged first), the ``lowest`` and
    ``highest`` network, how many networks and seeds; ``lost_points``, the percent of the pair that
    was trained *and* fine-tuned with ``tuned_with`` minus this one's, NaN where there is none (it
    is 0 for that pair itself); ``of_goal``, bool: whether the measure is what the objective of
    fine-tuning is after. ``protocol``: of the empirical measure, the claimed one.

    Args:
        accuracy: the table of accuracies of all runs of the study.
    """
    found = _long(accuracy)
    mixed = (found.trained_with != found.tuned_with).groupby([found[name] for name in GROUP])
    found = found[mixed.transform("any").astype(bool)]
    rows = [
        dict(zip([*GROUP, *PAIR, *MEASURE], key, strict=True)) | _row(here)
        for key, here in found.groupby([*GROUP, *PAIR, *MEASURE], sort=False)
    ]
    return _held(pd.DataFrame(rows, columns=[c for c in COLUMNS if c != "lost_points"]))


def _long(accuracy: pd.DataFrame) -> pd.DataFrame:
    """The pruned networks, a row a measure that they have."""
    pruned = accuracy[accuracy.sparsity > 0]
    labels = pruned.run.str.split("-", expand=True).reindex(columns=range(3))
    pruned = pruned.assign(dataset=labels[0], model=labels[1])
    parts = []
    for measure, column in PERCENT.items():
        part = pruned.assign(measure=measure, value=pruned[column].astype(float))
        if measure != "empirical":  # the only one by which the table may have several rows
            part = part.assign(protocol=NO_PROTOCOL).drop_duplicates(["run", "seed", "variant"])
        parts.append(part.dropna(subset="value"))
    return pd.concat(parts, ignore_index=True)


def _row(here: pd.DataFrame) -> dict[str, object]:
    return {
        "percent": float(here.groupby("seed").value.mean().mean()),
        "lowest": float(here.value.min()),
        "highest": float(here.value.max()),
        "networks": len(here),
        "seeds": here.seed.nunique(),
        "of_goal": bool((here.tuned_goal == here.measure.map(GOAL)).all()),
    }


def _held(table: pd.DataFrame) -> pd.DataFrame:
    """With the points lost against the pair that was trained with what it was fine-tuned with."""
    matched = table[table.trained_with == table.tuned_with]
    keys = [*GROUP, *MEASURE, "tuned_with"]
    percents = matched.set_index(keys).percent.astype(float).to_dict()
    own = table[keys].itertuples(index=False, name=None)
    reached = np.array([percents.get(key, np.nan) for key in own], float)
    return table.assign(lost_points=reached - table.percent.astype(float))[[*COLUMNS]]

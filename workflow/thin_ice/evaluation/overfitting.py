"""Robust overfitting: how much of its best robust accuracy a network has lost when its training
ends, on validation (Rice, Wong, Kolter, ICML 2020). Chen et al. (ICLR 2022) report that sparsity
cures it; so each network stands beside the dense one of its run and seed.

The best of many epochs is never below the last, so the difference is 0 or more even where epochs
differ by chance alone, in dense networks as in sparse ones. Its interval takes the two accuracies
for independent (Newcombe 1998); they are of the same images, so it is too wide rather than too
narrow. It holds training fixed: other seeds would vary more.

Catastrophic overfitting, of training against a single step, is another thing: by the rule of
`thin_ice.catastrophe`, from the same history.
"""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from thin_ice.catastrophe import catastrophic_epoch
from thin_ice.evaluation.proportions import wilson
from thin_ice.evaluation.summary import NETWORK

ROBUST, CLEAN = "validation_robust", "validation_clean"
ALIKE = ["run", "seed", "measure"]  # whose overfitting compares
COLUMNS = [
    *NETWORK,
    *("stage", "epochs", "measure", "validation_images", "best_epoch", "best_percent"),
    *("last_percent", "overfitting_points", "overfitting_low", "overfitting_high"),
    *("train_percent", "gap_points", "catastrophic_epoch"),
    *("dense_overfitting_points", "cured_points"),
]


def overfitting_table(
    names: Sequence[dict],
    stages: Sequence[str | None],
    histories: Sequence[pd.DataFrame | None],
    images: int,
) -> pd.DataFrame:
    """A row a network that was trained here, from the history of the stage that chose its
    checkpoint; ``images``: of the validation split.

    Columns: the network's names; ``stage``; its epochs; ``measure``, robust or, where training was
    after benign accuracy alone, clean; the best eligible epoch, its accuracy and the last one's;
    ``overfitting_points``, the difference; accuracy in training in the last epoch, on what the loss
    was taken on, and ``gap_points``, that minus the last on validation; ``catastrophic_epoch``,
    the first of catastrophic overfitting (NaN without one); the dense network's overfitting and by
    how much less this one's is (NaN of the dense networks themselves, and where the two are of
    different measures). Of equal epochs the best is the one that training keeps.
    """
    rows = [
        {key: name[key] for key in NETWORK} | {"stage": stage} | _overfitting(history, images)
        for name, stage, history in zip(names, stages, histories, strict=True)
        if history is not None
    ]
    table = pd.DataFrame(rows, columns=COLUMNS)
    dense = table[table.variant == "dense"].set_index(ALIKE).overfitting_points
    keys = list(zip(*(table[name] for name in ALIKE), strict=True))
    others = [dense.get(key, math.nan) for key in keys]
    table["dense_overfitting_points"] = np.where(table.variant == "dense", math.nan, others)
    table["cured_points"] = table.dense_overfitting_points - table.overfitting_points
    return table


def _overfitting(history: pd.DataFrame, images: int) -> dict:
    """Of one training, by validated epochs that might have been chosen."""
    robust = ROBUST in history and history[ROBUST].notna().any()
    of = ROBUST if robust else CLEAN
    told = history[history[of].notna() & (history.eligible == 1)]
    facts = {
        "epochs": len(history),
        "measure": "robust" if robust else "clean",
        "validation_images": images,
        "catastrophic_epoch": catastrophic_epoch(history.to_dict("records")) or math.nan,
    }
    if told.empty:
        return facts
    best, last = told.sort_values([of, CLEAN, "epoch"]).iloc[-1], told.iloc[-1]
    low, high = difference_interval(best[of], last[of], images)
    return facts | {
        "best_epoch": int(best.epoch),
        "best_percent": 100 * best[of],
        "last_percent": 100 * last[of],
        "overfitting_points": 100 * (best[of] - last[of]),
        "overfitting_low": 100 * low,
        "overfitting_high": 100 * high,
        "train_percent": 100 * last.train_accuracy,
        "gap_points": 100 * (last.train_accuracy - last[of]),
    }


def difference_interval(first: float, second: float, size: int) -> tuple[float, float]:
    """95 % interval of the difference of two shares of ``size`` each, taken for independent: from
    Wilson's intervals (Newcombe 1998, method 10).
    """
    shares = np.array([first, second])
    _, low, high = wilson(shares * size, size)
    below = math.hypot(first - low[0], high[1] - second)
    above = math.hypot(high[0] - first, second - low[1])
    return first - second - below, first - second + above

"""Catastrophic overfitting (Wong, Rice, Kolter, ICLR 2020): a network that is trained against a
single step learns to withstand that step and nothing else. Within an epoch or two its accuracy
under PGD falls to nothing, while under the step that trained it it stays or rises.

The rule, on the validated epochs of a history in which both accuracies stand. An epoch is
catastrophic where

    robust < FALL * best robust so far,    single step >= FALL * best single step so far,

and the best robust accuracy was ``LEAST`` or more: before a network has learnt anything, one
answer for everything is as robust as it is right (10 % of ten classes), and that it is given up is
no catastrophe. Where both accuracies fall, training has come apart or weights were pruned. A
network that was never robust has not fallen; its robust accuracy says so.
Knows no torch.
"""

import logging
import math
from collections.abc import Mapping, Sequence

ROBUST, SINGLE_STEP = "validation_robust", "validation_single_step"
FALL = 0.5  # share of the best accuracy so far that is still no fall
LEAST = 0.2  # robust accuracy from which one can fall

log = logging.getLogger("thin_ice")


def catastrophic_epoch(history: Sequence[Mapping[str, float]]) -> int | None:
    """The first epoch (its number in the history, from 1) that is catastrophic; None without one.

    ``history``: rows, one an epoch; those that lack either accuracy, or have NaN, are passed over.
    """
    best_robust = best_single = 0.0
    for row in history:
        robust, single = row.get(ROBUST, math.nan), row.get(SINGLE_STEP, math.nan)
        if math.isnan(robust) or math.isnan(single):
            continue
        best_robust, best_single = max(best_robust, robust), max(best_single, single)
        fallen = best_robust >= LEAST and robust < FALL * best_robust
        if fallen and single >= FALL * best_single:
            return int(row["epoch"])
    return None


def warn_of(history: Sequence[Mapping[str, float]]) -> None:
    """A warning where the last epoch is the first catastrophic one, so that it is given once."""
    if not history or catastrophic_epoch(history) != history[-1]["epoch"]:
        return
    last = history[-1]
    best = max(row.get(ROBUST, 0.0) for row in history)
    log.warning(
        "catastrophic overfitting in epoch %d: validation accuracy under PGD is %.1f %% (best so "
        "far: %.1f %%), under the single step that trains the network %.1f %%; select: best ends "
        "with the epoch that is best under PGD, select: last with whatever comes of this",
        last["epoch"],
        100 * last[ROBUST],
        100 * best,
        100 * last[SINGLE_STEP],
    )

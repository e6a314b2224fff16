"""Signed distance of every sample to a network's decision boundary.

Positive for a correctly classified sample (least perturbation that makes it wrong), negative for a
misclassified one (least that makes it right). A failed attack is an infinite distance, never 0.
The distance is the envelope: the smallest that any of the runs found.
"""

from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor, nn

from thin_ice.attacks.checks import checked_logits
from thin_ice.attacks.fmn import fmn
from thin_ice.attacks.modes import under_attack
from thin_ice.data.split import Split

BATCH = 500
FOUND, FAILED = "found", "failed"


@dataclass(frozen=True)
class FmnRun:
    """One run of FMN: the norm, its steps and largest step size."""

    norm: str
    steps: int
    max_stepsize: float

    @property
    def column(self) -> str:
        return f"fmn_{self.norm.lower()}_{self.max_stepsize:g}"


def distance_table(model: nn.Module, split: Split, runs: list[FmnRun]) -> pd.DataFrame:
    """sample_id, label, correct; per norm the envelope ``distance_NORM`` (>= 0), its status and
    the signed distance; and each run's own distance.

    Raises:
        UnusableInput: images, labels, the network's mode or its logits are not what they must be.
    """
    checked_logits(model, split.batches(BATCH))
    with under_attack(model):
        batches = [_batch(model, x, y, runs) for x, y in split.batches(BATCH)]
    table = pd.DataFrame(
        {"sample_id": split.ids.cpu().numpy(), "label": split.labels.cpu().numpy()}
    )
    for name in batches[0]:
        table[name] = torch.cat([batch[name] for batch in batches]).cpu().numpy()
    for norm in sorted({run.norm for run in runs}):
        _add_envelope(table, norm, [run.column for run in runs if run.norm == norm])
    return table


def _batch(
    model: nn.Module, images: Tensor, labels: Tensor, runs: list[FmnRun]
) -> dict[str, Tensor]:
    with torch.no_grad():
        columns = {"correct": model(images).argmax(1) == labels}
    for run in runs:
        found = fmn(model, images, labels, run.norm, run.steps, run.max_stepsize)
        columns[run.column] = found.distance
    return columns


def _add_envelope(table: pd.DataFrame, norm: str, members: list[str]) -> None:
    name = norm.lower()
    distance = table[members].min(axis=1)
    table[f"distance_{name}"] = distance
    table[f"status_{name}"] = (distance < float("inf")).map({True: FOUND, False: FAILED})
    table[f"signed_distance_{name}"] = distance.where(table.correct, -distance)

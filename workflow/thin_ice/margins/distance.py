"""Signed distance of every sample to a network's decision boundary.

Positive for a correctly classified sample (least perturbation that makes it wrong), negative for a
misclassified one (least that makes it right). A failed attack is an infinite distance, never 0; an
attack that leaves misclassified samples alone has none for them (NaN).
The distance is the envelope: the smallest that any of the members found.
"""

import math
import time
from dataclasses import dataclass
from typing import Any, Protocol

import pandas as pd
import torch
from torch import Tensor, nn

from thin_ice import tables
from thin_ice.attacks.checks import checked_logits
from thin_ice.attacks.distance_budgets import column
from thin_ice.attacks.minimum_norm import MinimumNorm
from thin_ice.attacks.modes import under_attack
from thin_ice.data.split import Split
from thin_ice.progress import Progress

BATCH = 500
FOUND, FAILED = "found", "failed"


class MinimumNormAttack(Protocol):
    """An entry of the table of distance attacks."""

    def search(
        self, model: nn.Module, images: Tensor, labels: Tensor, norm: str
    ) -> MinimumNorm: ...


@dataclass(frozen=True)
class Member:
    """One attack of the envelope in its norm, and the column of its distances."""

    column: str
    norm: str
    attack: MinimumNormAttack

    @classmethod
    def of(cls, wanted: dict[str, Any]) -> "Member":
        """The attack that a resolved study spells out: its kind, norm and options."""
        attack = tables.load("distance_attacks", wanted["kind"])(**wanted["options"])
        return cls(column(wanted), wanted["norm"], attack)


def distance_table(
    model: nn.Module, split: Split, members: list[Member]
) -> tuple[pd.DataFrame, dict[str, float]]:
    """sample_id, label, correct; each member's own distance; per norm the envelope
    ``distance_NORM`` (> 0), its status and the signed distance. And each member's seconds a sample.

    Raises:
        UnusableInput: images, labels, the network's mode or its logits are not what they must be.
    """
    checked_logits(model, split.batches(BATCH))
    seconds = dict.fromkeys((member.column for member in members), 0.0)
    progress = Progress("search", len(members) * math.ceil(len(split) / BATCH))
    with under_attack(model):
        batches = [_batch(model, x, y, members, seconds, progress) for x, y in split.batches(BATCH)]
    progress.close()
    table = pd.DataFrame(
        {"sample_id": split.ids.cpu().numpy(), "label": split.labels.cpu().numpy()}
    )
    for name in batches[0]:
        table[name] = torch.cat([batch[name] for batch in batches]).numpy()
    for norm in sorted({member.norm for member in members}):
        _add_envelope(table, norm, [one.column for one in members if one.norm == norm])
    return table, {name: round(total / len(table), 6) for name, total in seconds.items()}


def _batch(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    members: list[Member],
    seconds: dict[str, float],
    progress: Progress,
) -> dict[str, Tensor]:
    with torch.no_grad():
        columns = {"correct": (model(images).argmax(1) == labels).cpu()}
    for member in members:
        clock = time.monotonic()
        found = member.attack.search(model, images, labels, member.norm)
        columns[member.column] = found.distance.cpu()  # waits for the device, so time is time
        seconds[member.column] += time.monotonic() - clock
        progress.advance({"after": member.column})
    return columns


def _add_envelope(table: pd.DataFrame, norm: str, members: list[str]) -> None:
    name = norm.lower()
    distance = table[members].min(axis=1)
    table[f"distance_{name}"] = distance
    table[f"status_{name}"] = (distance < float("inf")).map({True: FOUND, False: FAILED})
    table[f"signed_distance_{name}"] = distance.where(table.correct, -distance)

"""Flying Bird+ (Chen, Zhang, Wang et al., "Sparsity Winning Twice", ICLR 2022): `flying_bird` whose
number of weights follows training.

From half of training on, if in at least half of the last 4 changes between validated epochs the
robust generalisation gap has grown (accuracy under the training adversary minus robust accuracy on
validation), a layer drops 1.4 times as many weights; if in at least half the validation loss has
not fallen, it grows 1.05 times as many. So its sparsity is near the one that was asked for and no
more; tables have the one that it has.
For the validation loss, which the paper at hand does not define further, the cross-entropy under
the objective's own adversary is taken.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from thin_ice.attacks.modes import in_mode
from thin_ice.pruning.base import Pruner
from thin_ice.pruning.flying_bird import FlyingBirdPruner
from thin_ice.training.hooks import Row
from thin_ice.training.setting import Setting
from thin_ice.training.validation import BATCH


@dataclass(frozen=True)
class FlyingBirdPlus:
    """Flying Bird whose number of weights follows the robust generalisation gap and the loss."""

    growth: Literal["random", "gradient"] = "random"  # how weights are chosen that come back
    updates: int = 78  # of the masks during training, at equal distances
    death_rate: float = 0.5  # share of its weights that a layer drops at first
    last_death_rate: float = 0.005  # and in the end
    begin: float = 0.5  # share of training after which the numbers of weights follow it
    window: int = 4  # changes between validated epochs that are looked at
    drop_more: float = 0.4  # of what is dropped, as long as the gap grows
    grow_more: float = 0.05  # of what is grown, as long as the loss does not fall
    layers: Literal["all", "convolutions"] = "all"  # which layers may be pruned

    limits: ClassVar[dict] = {
        "death_rate": [0, 1],
        "last_death_rate": [0, 1],
        "window": [0, None],
    }
    ranges: ClassVar[dict] = {
        "updates": [0, None],
        "begin": [0, 1],
        "drop_more": [0, 1],
        "grow_more": [0, 1],
    }
    pipeline: ClassVar[str] = "during"
    criterion: ClassVar[str] = "magnitude; numbers follow the generalisation gap and the loss"
    paper: ClassVar[str] = "Chen et al., ICLR 2022"
    units: ClassVar[tuple[str, ...]] = ("weight",)
    claimed: ClassVar[str] = "flyingbird_pgd20"
    train_sparse_plan: ClassVar[dict] = {
        "epochs": 200,
        "lr": 0.1,
        "schedule": "step",
        "milestones": [0.5, 0.75],
        "weight_decay": 0.0005,
    }

    def pruner(self, sparsity: float, unit: str = "weight") -> Pruner:
        return FlyingBirdPlusPruner(self, sparsity)


class FlyingBirdPlusPruner(FlyingBirdPruner):
    """Remembers gaps and losses of the validated epochs, the newest last."""

    def __init__(self, options: FlyingBirdPlus, sparsity: float) -> None:
        super().__init__(options, sparsity)
        self.gaps: list[float] = []
        self.losses: list[float] = []

    def after_validation(self, model: nn.Module, epoch: int, row: Row) -> None:
        accuracy = row.get("validation_robust", row["validation_clean"])
        self.gaps.append(row["train_accuracy"] - accuracy)
        self.losses.append(validation_loss(model, self.setting))

    def _factors(self) -> tuple[float, float]:
        if self.step < self.options.begin * self._steps:
            return 1.0, 1.0
        gaps, losses = (changes(v, self.options.window) for v in (self.gaps, self.losses))
        overfits = mostly([change > 0 for change in gaps])
        stagnates = mostly([change >= 0 for change in losses])
        return 1 + self.options.drop_more * overfits, 1 + self.options.grow_more * stagnates

    def state(self) -> dict[str, Tensor]:
        seen = {"gaps": self.gaps, "losses": self.losses}
        tensors = {name: torch.tensor(v, dtype=torch.float64) for name, v in seen.items()}
        return super().state() | tensors

    def restore(self, state: dict[str, Tensor]) -> None:
        super().restore(state)
        self.gaps, self.losses = state["gaps"].tolist(), state["losses"].tolist()


def changes(values: list[float], window: int) -> list[float]:
    """The last ``window`` differences between neighbours, or as many as there are."""
    recent = values[-window - 1 :]
    return [after - before for before, after in pairwise(recent)]


def mostly(signs: list[bool]) -> bool:
    """Whether at least half of them are true; of none, no."""
    return bool(signs) and 2 * sum(signs) >= len(signs)


def validation_loss(model: nn.Module, setting: Setting) -> float:
    """Mean cross-entropy on the validation split as the objective's own adversary leaves it, of the
    network in evaluation mode. Random numbers are the same at every call.
    """
    step, total = setting.step("validation loss", progress=1.0), torch.zeros(())
    with in_mode(model, "eval"):
        for images, labels in setting.validation.batches(BATCH):
            attacked = setting.objective.perturb(model, images, labels, step)
            with torch.no_grad():
                total = total.to(images.device) + F.cross_entropy(
                    model(attacked), labels, reduction="sum"
                )
    return float(total) / len(setting.validation)

"""PGD adversarial training (Madry et al. 2018): min E max_{|d| <= eps} CE(f(x + d), y).

Defaults are R-ADMM's and BCS-P's: 10 steps of eps/4 from a uniform start. R-ADMM crafts in
training mode (``mode: train``), so that attack iterates move batch norm's running statistics.
Deviation: its extra natural forward pass, made for logging only, is not reproduced.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from thin_ice.attacks.pgd import cross_entropy_of
from thin_ice.objectives.base import Adversary, Goal, Loss, Step, UnderAttack, correct_count


@dataclass(frozen=True)
class PgdAt(UnderAttack):
    """Cross-entropy on adversarial images only."""

    steps: int = 10  # of the training adversary
    rel_step: float = 0.25  # its step size, a share of eps
    mode: Literal["eval", "train"] = "eval"  # of the network while it is attacked

    goal: ClassVar[Goal] = "empirical"
    teacher: ClassVar[bool] = False
    limits: ClassVar[dict] = {"steps": [0, None], "rel_step": [0, None]}

    def loss(self, model: nn.Module, images: Tensor, labels: Tensor, step: Step) -> Loss:
        logits = model(
            self._adversary(self.mode).craft(model, images, cross_entropy_of(labels), step)
        )
        return Loss(F.cross_entropy(logits, labels), correct_count(logits, labels))

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, step: Step) -> Tensor:
        return self._adversary("eval").craft(model, images, cross_entropy_of(labels), step)

    def _adversary(self, mode: Literal["eval", "train"]) -> Adversary:
        return Adversary(self.steps, self.rel_step, "uniform", mode)

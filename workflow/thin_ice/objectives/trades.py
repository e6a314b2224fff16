"""TRADES (Zhang et al. 2019): CE(f(x), y) + beta * KL(p(x) || p(x_adv)), mean over the batch.

x_adv maximises the same KL from x + 0.001 N(0, 1). HYDRA trains with it: beta 6, 10 steps of
0.0078 at eps 0.031, crafted in evaluation mode; no stop-gradient on p(x) in the final KL.
Deviation: HYDRA's code makes two more clean forward passes in training mode per step (one for
logging), which changes nothing but batch norm's running statistics; here these see the clean and
the adversarial batch once each.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from thin_ice.attacks.modes import in_mode
from thin_ice.attacks.pgd import AttackLoss, cross_entropy_of
from thin_ice.objectives.base import Adversary, Goal, Loss, Step, UnderAttack, correct_count


def kl_to(clean_logits: Tensor) -> AttackLoss:
    """KL(p_clean || p(logits)), summed over the batch, as a function of the logits."""
    clean = clean_logits.log_softmax(1)
    return lambda logits: F.kl_div(logits.log_softmax(1), clean, reduction="sum", log_target=True)


@dataclass(frozen=True)
class Trades(UnderAttack):
    """Clean cross-entropy plus the divergence that an adversary can cause."""

    beta: float = 6.0  # weight of the robust term
    steps: int = 10  # of the training adversary
    rel_step: float = 0.2516  # its step size, a share of eps; HYDRA: 0.0078 / 0.031

    goal: ClassVar[Goal] = "empirical"
    teacher: ClassVar[bool] = False
    limits: ClassVar[dict] = {"steps": [0, None], "rel_step": [0, None]}

    def loss(self, model: nn.Module, images: Tensor, labels: Tensor, step: Step) -> Loss:
        adversarial = self._craft(model, images, step)
        clean_logits = model(images)
        divergence = kl_to(clean_logits)(model(adversarial)) / len(images)
        value = F.cross_entropy(clean_logits, labels) + self.beta * divergence
        return Loss(value, correct_count(clean_logits, labels))

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, step: Step) -> Tensor:
        return self._adversary().craft(model, images, cross_entropy_of(labels), step)

    def _craft(self, model: nn.Module, images: Tensor, step: Step) -> Tensor:
        with torch.no_grad(), in_mode(model, "eval"):
            target = kl_to(model(images))
        return self._adversary().craft(model, images, target, step)

    def _adversary(self) -> Adversary:
        return Adversary(self.steps, self.rel_step, "gaussian")

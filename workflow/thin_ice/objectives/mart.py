"""MART (Wang et al. 2020): misclassification-aware adversarial training.

BCE(x_adv) + beta * mean[ KL(p(x) || p(x_adv)) * (1 - p_y(x)) ], with the boosted cross-entropy
BCE = CE(x_adv) - log(1.0001 - max_{j != y} p_j(x_adv)). x_adv maximises the cross-entropy from
x + 0.001 N(0, 1), crafted in evaluation mode. The constants are those of the released code.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from thin_ice.attacks.pgd import cross_entropy_of
from thin_ice.objectives.base import Adversary, Goal, Loss, Step, UnderAttack, correct_count

LOG_GUARD = 1.0001  # keeps log(1 - p) finite where p rounds to 1


def boosted_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """CE plus a margin term that pushes the best wrong class down; mean over the batch."""
    others = logits.softmax(1).scatter(1, labels[:, None], 0.0)
    return F.cross_entropy(logits, labels) - (LOG_GUARD - others.amax(1)).log().mean()


@dataclass(frozen=True)
class Mart(UnderAttack):
    """Adversarial training that stresses samples the network already gets wrong."""

    beta: float = 5.0  # weight of the KL term
    steps: int = 10  # of the training adversary
    rel_step: float = 0.25  # its step size, a share of eps

    goal: ClassVar[Goal] = "empirical"
    teacher: ClassVar[bool] = False
    limits: ClassVar[dict] = {"steps": [0, None], "rel_step": [0, None]}

    def loss(self, model: nn.Module, images: Tensor, labels: Tensor, step: Step) -> Loss:
        adversarial = self.perturb(model, images, labels, step)
        clean_logits, logits = model(images), model(adversarial)
        clean = clean_logits.log_softmax(1)
        divergence = F.kl_div(logits.log_softmax(1), clean, reduction="none", log_target=True)
        doubt = 1 - clean.exp().gather(1, labels[:, None]).squeeze(1)
        value = boosted_cross_entropy(logits, labels)
        value = value + self.beta * (divergence.sum(1) * doubt).mean()
        return Loss(value, correct_count(logits, labels))

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, step: Step) -> Tensor:
        adversary = Adversary(self.steps, self.rel_step, "gaussian")
        return adversary.craft(model, images, cross_entropy_of(labels), step)

"""Natural training: the cross-entropy on clean images."""

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from thin_ice.objectives.base import Goal, Loss, Step, UnderAttack, correct_count


@dataclass(frozen=True)
class Natural(UnderAttack):
    """Cross-entropy; checkpoints are chosen by clean validation accuracy."""

    goal: ClassVar[Goal] = "benign"
    teacher: ClassVar[bool] = False

    def loss(self, model: nn.Module, images: Tensor, labels: Tensor, step: Step) -> Loss:
        logits = model(images)
        return Loss(F.cross_entropy(logits, labels), correct_count(logits, labels))

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, step: Step) -> Tensor:
        return images

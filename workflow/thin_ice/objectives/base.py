"""What an objective is: the loss that every stage of a network's life is trained with.

Sehwag et al. (2019): pre-training and fine-tuning must use the objective that one wants in the
end. So an objective is an object that dense training, pruning and fine-tuning all receive; it
knows nothing of pruning.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from thin_ice.attacks.modes import Mode, in_mode
from thin_ice.attacks.pgd import AttackLoss, Start, pgd, start_point
from thin_ice.attacks.threat import ThreatModel


@dataclass(frozen=True)
class Step:
    """What an objective may know of the moment: the threat model, its own stream of random
    numbers, the share of the stage's training that is done (0 to 1), and for objectives that learn
    from it the dense network, frozen and in evaluation mode.
    """

    threat: ThreatModel
    generator: torch.Generator
    progress: float
    teacher: nn.Module | None = None


@dataclass(frozen=True)
class Loss:
    """``value``: scalar to minimise. ``correct``: how many of the inputs that the loss was taken
    on were classified correctly, a 0-dim tensor on the device.
    """

    value: Tensor
    correct: Tensor


class Objective(Protocol):
    """One loss. ``robust``: whether checkpoints are chosen by robust validation accuracy;
    ``teacher``: whether it learns from the dense network, and so cannot train one.
    """

    robust: ClassVar[bool]
    teacher: ClassVar[bool]

    def loss(self, model: nn.Module, images: Tensor, labels: Tensor, step: Step) -> Loss:
        """The training loss on float images (N, C, H, W) in [0, 1], labels int64 (N,).

        The model is in training mode, and is again afterwards.
        """
        ...

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, step: Step) -> Tensor:
        """The objective's own adversary against the model in evaluation mode, for validation."""
        ...


@dataclass(frozen=True)
class Adversary:
    """A PGD training adversary; the step size is a share of eps, so that it follows the study."""

    steps: int
    rel_step: float
    start: Start
    mode: Mode = "eval"

    def craft(self, model: nn.Module, images: Tensor, loss: AttackLoss, step: Step) -> Tensor:
        """Adversarial images for a batch, crafted in the adversary's mode."""
        start = start_point(images, step.threat, self.start, step.generator)
        size = self.rel_step * step.threat.eps
        with in_mode(model, self.mode):
            return pgd(model, images, step.threat, loss, start, self.steps, size)


def correct_count(logits: Tensor, labels: Tensor) -> Tensor:
    """Number of correct predictions, left on the device."""
    return (logits.detach().argmax(1) == labels).sum()

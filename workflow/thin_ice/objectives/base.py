"""What an objective is: the loss that every stage of a network's life is trained with.

Sehwag et al. (2019): pre-training and fine-tuning must use the objective that one wants in the
end. So an objective is an object that dense training, pruning and fine-tuning all receive; it
knows nothing of pruning.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn

from thin_ice.attacks.fast import AS_THEY_ARE, Views
from thin_ice.attacks.modes import Mode, in_mode
from thin_ice.attacks.pgd import AttackLoss, Start, cross_entropy_of, pgd, start_point
from thin_ice.attacks.threat import ThreatModel

Goal = Literal["benign", "empirical", "verified", "smoothed"]


@dataclass(frozen=True)
class Step:
    """What an objective may know of the moment: the threat model, its own stream of random
    numbers, the share of the stage's training that is done (0 to 1), for objectives that learn
    from it the dense network, frozen and in evaluation mode, and whether the network had been
    trained before the stage began, as it is where it is pruned or fine-tuned.

    ``memory``: what the objective keeps from step to step of a stage, tensors by name; the loop
    owns it and saves it with its checkpoints. None where nobody keeps any, as where a method looks
    at the loss or an epoch is validated. ``views``: networks as an adversary is to compute them.
    """

    threat: ThreatModel
    generator: torch.Generator
    progress: float
    teacher: nn.Module | None = None
    pretrained: bool = False
    memory: dict[str, Tensor] | None = None
    views: Views = AS_THEY_ARE


@dataclass(frozen=True)
class Loss:
    """``value``: scalar to minimise. ``correct``: how many of the inputs that the loss was taken
    on were classified correctly, a 0-dim tensor on the device.
    """

    value: Tensor
    correct: Tensor


class Objective(Protocol):
    """One loss. ``goal``: what it is after, and so what its checkpoints are chosen by; ``teacher``:
    whether it learns from the dense network, and so cannot train one; ``replays``: how many steps
    of the optimiser each batch is given, one after another.

    Goals: benign accuracy alone, or before it the share of inputs that are robust: empirically,
    against the objective's own adversary; verified by bounds; or smoothed, under Gaussian noise.
    """

    goal: ClassVar[Goal]
    teacher: ClassVar[bool]
    replays: int

    def loss(self, model: nn.Module, images: Tensor, labels: Tensor, step: Step) -> Loss:
        """The training loss on float images (N, C, H, W) in [0, 1], labels int64 (N,).

        The model is in training mode, and is again afterwards.
        """
        ...

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, step: Step) -> Tensor:
        """Adversarial images within the study's threat model, against the model in evaluation mode,
        for whoever needs some: the objective's own adversary, if it has one.
        """
        ...

    def withstands(self, model: nn.Module, images: Tensor, labels: Tensor, step: Step) -> Tensor:
        """Which inputs count as robust at validation, the model in evaluation mode: bool (N,)."""
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
            view = step.views.of(model)
            return pgd(view, images, step.threat, loss, start, self.steps, size)


class SeenOnce:
    """Objectives that give each batch one step, as all do that do not say otherwise."""

    replays: ClassVar[int] = 1


class UnderAttack(SeenOnce):
    """What a robust input is to objectives whose goal is empirical, or benign without an attack."""

    def withstands(
        self: Objective, model: nn.Module, images: Tensor, labels: Tensor, step: Step
    ) -> Tensor:
        """Those that are classified correctly as the objective's own adversary leaves them."""
        return correct(model, self.perturb(model, images, labels, step), labels)


class NoAdversary(SeenOnce):
    """How objectives perturb that train without an adversary, or with one that is too weak to be
    judged by: by PGD with the steps of R-ADMM's and BCS-P's, ten of eps/4 from a uniform start.
    """

    def perturb(self, model: nn.Module, images: Tensor, labels: Tensor, step: Step) -> Tensor:
        adversary = Adversary(10, 0.25, "uniform")
        return adversary.craft(model, images, cross_entropy_of(labels), step)


def correct(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Which images the model in evaluation mode classifies correctly, bool (N,)."""
    with torch.no_grad(), in_mode(model, "eval"):
        return model(images).argmax(1) == labels


def correct_count(logits: Tensor, labels: Tensor) -> Tensor:
    """Number of correct predictions, left on the device."""
    return (logits.detach().argmax(1) == labels).sum()

"""MixTrain (Wang et al. 2018): verifiable training at the price of a few images a batch.

CE(x) + w CE(-m(x')), where x' are k images drawn from the batch and m bounds of their margins; the
second term is taken with probability 0.8. As in HYDRA's code the radius grows from 0 to
eps over the first 10 of 60 epochs, and then w = 0.1 * 2.5^(epochs since / 5), at most 50; the
epochs that its exponent counts are our reading. k is 5, and 1 for its large network.
``steps``: an adversary's steps, to mix with the loss on adversarial images instead of clean ones.
Deviations: CROWN-IBP bounds stand in for the symbolic intervals of the paper, which are linear
bounds as well. Batch norm takes its running statistics where the k images are bounded, since those
of so few say little; the networks of the paper have none. Where a network was trained before, w
stands at its end.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from thin_ice.attacks.modes import in_mode
from thin_ice.attacks.pgd import cross_entropy_of
from thin_ice.objectives.base import Adversary, Goal, Loss, Step, correct_count
from thin_ice.objectives.verified import (
    Verified,
    full_ball,
    margins_within,
    ramp_share,
    worst_case_cross_entropy,
)


@dataclass(frozen=True)
class Mixtrain(Verified):
    """Clean or adversarial cross-entropy, plus the worst-case one of a few images."""

    eps: float | None = None  # radius; null: the study's
    samples: int = 5  # images of a batch that are bounded, k
    probability: float = 0.8  # with which a batch has the worst-case term
    warmup: float = 0.0  # share of the stage before the radius grows
    ramp: float = 10 / 60  # share of the stage in which it grows
    weight: float = 0.1  # of the worst-case term until the ramp ends
    growth: float = 2.5  # its factor
    growth_every: float = 5 / 60  # in this share of the stage
    weight_end: float = 50.0  # at most
    ramp_again: bool = False  # whether ramps run in pruning and fine-tuning too
    steps: int = 0  # of the training adversary; 0: clean images
    rel_step: float = 0.25  # its step size, a share of eps

    goal: ClassVar[Goal] = "verified"
    teacher: ClassVar[bool] = False
    bounds: ClassVar[str] = "crown_ibp"
    limits: ClassVar[dict] = {
        "eps": [0, None],
        "samples": [0, None],
        "growth_every": [0, None],
        "rel_step": [0, None],
    }
    ranges: ClassVar[dict] = {
        "probability": [0, 1],
        "warmup": [0, 1],
        "ramp": [0, 1],
        "weight": [0, None],
        "growth": [1, None],
        "weight_end": [0, None],
        "steps": [0, None],
    }

    def loss(self, model: nn.Module, images: Tensor, labels: Tensor, step: Step) -> Loss:
        logits = model(self._attacked(model, images, labels, step))
        value = F.cross_entropy(logits, labels)
        if ramp_share(self, step) > 0:
            value = value + self.weight_at(step) * self._worst_case(model, images, labels, step)
        return Loss(value, correct_count(logits, labels))

    def weight_at(self, step: Step) -> float:
        """The weight of the worst-case term."""
        if step.pretrained and not self.ramp_again:
            return self.weight_end
        since = max(0.0, step.progress - self.warmup - self.ramp)
        return min(self.weight * self.growth ** (since / self.growth_every), self.weight_end)

    def _attacked(self, model: nn.Module, images: Tensor, labels: Tensor, step: Step) -> Tensor:
        if not self.steps:
            return images
        adversary = Adversary(self.steps, self.rel_step, "uniform")
        here = replace(step, threat=full_ball(self, step))
        return adversary.craft(model, images, cross_entropy_of(labels), here)

    def _worst_case(self, model: nn.Module, images: Tensor, labels: Tensor, step: Step) -> Tensor:
        """The worst-case cross-entropy of a few images, or 0. What is drawn stays on the device."""
        draws = {"generator": step.generator, "device": images.device}
        taken = torch.rand((), **draws) < self.probability
        few = torch.randperm(len(images), **draws)[: self.samples]
        share, ball = ramp_share(self, step), full_ball(self, step)
        with in_mode(model, "eval"):
            lower = margins_within(model, images[few], labels[few], ball, share).lower("crown_ibp")
        return taken * worst_case_cross_entropy(lower, labels[few])

"""What objectives with verified robustness share: ramps, and the loss on worst-case logits.

Lower bounds m_j of the margins z_y - z_j over the ball, m_y = 0, make the logits -m: no image of
the ball has a larger cross-entropy than these (Wong and Kolter 2018; Gowal et al. 2018).
A network that is asked too early to be robust on the whole ball collapses, so the radius grows
from 0. A network that was trained before is past that: in pruning and fine-tuning the ramps stand
at their ends, unless an objective is told to let them run again.
"""

from typing import ClassVar, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from thin_ice.attacks.modes import in_mode
from thin_ice.attacks.threat import ThreatModel
from thin_ice.objectives.base import Loss, NoAdversary, Step, correct_count
from thin_ice.verification.margins import Margins, verified


class Ramped(Protocol):
    """What an objective says whose radius grows."""

    bounds: ClassVar[str]  # by which images count as verified at validation
    eps: float | None
    warmup: float
    ramp: float
    ramp_again: bool


class Mixing(Ramped, Protocol):
    """And one that mixes in the clean loss."""

    kappa_start: float
    kappa_end: float

    def lower(self, margins: Margins, share: float) -> Tensor:
        """The bounds to train with, (N, classes), at this share of the ramp."""
        ...


class Verified(NoAdversary):
    """Objectives whose robust inputs are those that are verified on the whole ball."""

    def withstands(
        self: Ramped, model: nn.Module, images: Tensor, labels: Tensor, step: Step
    ) -> Tensor:
        with in_mode(model, "eval"):
            return verified(model, images, labels, full_ball(self, step), self.bounds)


class WorstCase(Verified):
    """Those that train on kappa CE(z) + (1 - kappa) CE(-m), z the logits of clean images; what
    counts as correct are clean predictions.
    """

    def loss(self: Mixing, model: nn.Module, images: Tensor, labels: Tensor, step: Step) -> Loss:
        share = ramp_share(self, step)
        kappa = between(self.kappa_start, self.kappa_end, share)
        if share == 0 or kappa == 1:  # of a ball without extent the clean loss is the worst
            logits = model(images)
            return Loss(F.cross_entropy(logits, labels), correct_count(logits, labels))
        margins = margins_within(model, images, labels, full_ball(self, step), share)
        value = worst_case_cross_entropy(self.lower(margins, share), labels)
        if kappa:
            value = kappa * F.cross_entropy(margins.logits, labels) + (1 - kappa) * value
        return Loss(value, correct_count(margins.logits, labels))


def full_ball(objective: Ramped, step: Step) -> ThreatModel:
    """The study's threat model, with the objective's radius if it has its own."""
    eps = step.threat.eps if objective.eps is None else objective.eps
    return ThreatModel(step.threat.norm, eps)


def ramp_share(objective: Ramped, step: Step) -> float:
    """How far the ramps are, 0 to 1: at 0 until the share ``warmup`` of the stage is done, at 1
    when ``ramp`` more is, linear between.
    """
    if step.pretrained and not objective.ramp_again:
        return 1.0
    done = step.progress - objective.warmup
    if done >= objective.ramp:
        return 1.0
    return done / objective.ramp if done > 0 else 0.0


def between(start: float, end: float, share: float) -> float:
    """On the straight line from ``start`` (share 0) to ``end`` (share 1)."""
    return start + share * (end - start)


def margins_within(
    model: nn.Module, images: Tensor, labels: Tensor, ball: ThreatModel, share: float
) -> Margins:
    """Margins on the share of the ball that a ramp has come to. Float32 throughout: bounds add up
    what rounding in half precision would lose.
    """
    with torch.autocast(images.device.type, enabled=False):
        return Margins(model, images, labels, ThreatModel(ball.norm, share * ball.eps))


def worst_case_cross_entropy(lower: Tensor, labels: Tensor) -> Tensor:
    """The cross-entropy of logits -m for lower bounds m (N, classes) of the margins; the mean."""
    return F.cross_entropy(-lower, labels)

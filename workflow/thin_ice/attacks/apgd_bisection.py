"""APGD (Croce & Hein 2020) with a radius for each sample, found by bisection, for L2 and Linf.

Each trial runs APGD in a ball of the sample's own radius eps. While no trial has flipped the sample
eps doubles, from the distance to the linearised boundary; then the interval between the largest
radius that failed and the nearest flip is halved. APGD ascends a loss f by
    z = P(x_k + eta sign grad f(x_k)),  x_{k+1} = P(x_k + 0.75 (z - x_k) + 0.25 (x_k - x_{k-1}))
(in L2 the gradient over its length) from eta = 2 eps, and at its checkpoints, shares
p_0 = 0, p_1 = 0.22, p_{j+1} = p_j + max(p_j - p_{j-1} - 0.03, 0.06) of the steps, halves eta and
goes back to the best point where fewer than 75 % of the steps since the last one rose, or where
neither eta nor the best loss has changed since then.
The loss is the negative margin (of one class against the label with ``targets``), whose ascent is
the same as of DLR without its scale: within a sample only comparisons and directions count.
Misclassified samples ascend the margin of their label.
Deviations: the first trial starts at the sample, later ones at the nearest flip or else the best
point so far, projected onto the new ball, not at random, so nothing is drawn; every point that is
visited may be the nearest flip. The package's own APGD takes one eps for all samples and leaves
misclassified ones alone.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from thin_ice.attacks.balls import DUAL_NORM, PROJECTION, TINY
from thin_ice.attacks.minimum_norm import MinimumNorm, Nearest, margin
from thin_ice.attacks.threat import per_sample

MOMENTUM, RISING = 0.75, 0.75
Objective = Callable[[Tensor], Tensor]  # logits (N, K) -> (N,), above 0 where the sample is flipped


@dataclass(frozen=True)
class ApgdBisection:
    """``steps`` of APGD in each of ``bisections`` trials, for each of ``targets`` classes: the most
    likely ones beside the label; 0 aims at whichever class is nearest.
    """

    norms: ClassVar[tuple[str, ...]] = ("L2", "Linf")
    misclassified: ClassVar[bool] = True

    steps: int = 50
    bisections: int = 10
    targets: int = 0

    def search(self, model: nn.Module, images: Tensor, labels: Tensor, norm: str) -> MinimumNorm:
        """Least flip of each float image (N, C, H, W) in [0, 1], as `thin_ice.attacks.fmn.fmn`."""
        with torch.no_grad():
            logits = model(images)
        nearest = Nearest(images, norm)
        for objective in objectives(logits, labels, self.targets):
            search = _Search(model, images, norm, objective, nearest, self.steps)
            search.bisect(self.bisections)
        return nearest.confirmed(model, labels, logits.argmax(1) == labels)


def objectives(logits: Tensor, labels: Tensor, targets: int) -> Iterator[Objective]:
    """What to ascend, one after another. ``logits`` (N, K) are those of the clean images."""
    right = logits.argmax(1) == labels
    if not targets:
        side = torch.where(right, -1.0, 1.0)
        yield lambda z: side * margin(z, labels)
        return
    others = logits.scatter(1, labels[:, None], -math.inf).argsort(dim=1, descending=True)
    for target in others[:, : min(targets, logits.shape[1] - 1)].T:
        yield partial(_towards, right, labels, target)


def _towards(right: Tensor, labels: Tensor, target: Tensor, logits: Tensor) -> Tensor:
    """How far the target is before the label; for misclassified samples the label's margin."""
    ahead = logits.gather(1, target[:, None]) - logits.gather(1, labels[:, None])
    return torch.where(right, ahead.squeeze(1), margin(logits, labels))


@dataclass(frozen=True)
class _Search:
    """The search for one objective; what it finds goes into ``nearest``."""

    model: nn.Module
    images: Tensor
    norm: str
    objective: Objective
    nearest: Nearest
    steps: int

    def bisect(self, trials: int) -> None:
        loss, gradient = self._ascent(self.images)
        failed = torch.zeros_like(loss)
        radius = loss.abs() / DUAL_NORM[self.norm](gradient).clamp_min(TINY)
        radius = torch.minimum(radius, self.nearest.distance)
        best = self.images
        for _ in range(trials):
            before = self.nearest.distance
            best = self._apgd(best, radius)
            # A flip on the ball's edge may be a rounding error outside it.
            hit = (self.nearest.distance < before) | (before <= radius)
            failed = torch.where(hit, failed, radius)
            halved = (failed + self.nearest.distance) / 2
            radius = torch.where(self.nearest.distance.isinf(), 2 * radius, halved)
            flipped = per_sample(self.nearest.distance.isfinite(), best)
            best = torch.where(flipped, self.nearest.points, best)

    def _apgd(self, start: Tensor, radius: Tensor) -> Tensor:
        """The point of each ball, radii (N,), where the loss was highest, (N, C, H, W)."""
        x = previous = self._onto(start, radius)
        loss, gradient = self._ascent(x)
        best, best_loss, best_gradient = x, loss, gradient
        eta, rises = 2 * radius, torch.zeros_like(radius)
        kept_eta, kept_best = torch.zeros_like(eta), best_loss
        last, marks = 0, checkpoints(self.steps)
        for step in range(1, self.steps + 1):
            z = self._onto(x + per_sample(eta, x) * self._steepest(gradient), radius)
            share = MOMENTUM if step > 1 else 1.0
            moved = x + share * (z - x) + (1 - share) * (x - previous)
            previous, x, before = x, self._onto(moved, radius), loss
            loss, gradient = self._ascent(x)
            rises = rises + (loss > before)
            better = loss > best_loss
            best_loss = torch.where(better, loss, best_loss)
            best = torch.where(per_sample(better, x), x, best)
            best_gradient = torch.where(per_sample(better, x), gradient, best_gradient)
            if step in marks:
                stuck = (kept_eta == eta) & (kept_best == best_loss)
                halve = (rises < RISING * (step - last)) | stuck
                kept_eta, kept_best, last = eta, best_loss, step
                eta, rises = torch.where(halve, eta / 2, eta), torch.zeros_like(rises)
                x = torch.where(per_sample(halve, x), best, x)
                gradient = torch.where(per_sample(halve, x), best_gradient, gradient)
                loss = torch.where(halve, best_loss, loss)
        return best

    def _ascent(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """The loss (N,) and its gradient (N, C, H, W); flips among the points are kept."""
        points = points.detach().requires_grad_(True)
        loss = self.objective(self.model(points))
        (gradient,) = torch.autograd.grad(loss.sum(), points)
        self.nearest.see(points.detach(), loss.detach() > 0)
        return loss.detach(), gradient

    def _steepest(self, gradient: Tensor) -> Tensor:
        if self.norm == "Linf":
            return gradient.sign()
        return gradient / per_sample(gradient.flatten(1).norm(dim=1).clamp_min(TINY), gradient)

    def _onto(self, points: Tensor, radius: Tensor) -> Tensor:
        return (self.images + PROJECTION[self.norm](points - self.images, radius)).clamp(0, 1)


def checkpoints(steps: int) -> set[int]:
    """The steps after which APGD looks at its step size."""
    marks, before, now = set(), 0.0, 0.22
    while now <= 1:
        marks.add(math.ceil(now * steps))
        before, now = now, now + max(now - before - 0.03, 0.06)
    return marks

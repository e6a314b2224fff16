"""FMN, the fast minimum-norm attack (Pintor et al. 2021), for L0, L1, L2 and L-infinity.

With the margin L = z_y - max_{j != y} z_j (its sign turned for misclassified samples), each step
moves against the margin's gradient, normalised in L2, inside a ball whose radius eps shrinks while
the sample is flipped and grows while it is not:
    flipped:                 eps <- min(eps (1 - gamma), smallest norm found)
    flipped before, not now: eps <- eps (1 + gamma)
    never flipped yet:       eps <- max(eps (1 + gamma), ||d||_p + |L| / ||grad L||_q)
where the last is the distance to the linearised boundary. L0 has whole radii, from 1:
    flipped:     eps <- min(eps - 1, floor(eps (1 - gamma)), smallest norm found)
    not flipped: eps <- max(eps + 1, floor(eps (1 + gamma)))
Step size and gamma decay by cosine, from max_stepsize to a hundredth and from 0.05 to 0.001. The
start is the sample itself or a flipped point, see `thin_ice.attacks.starts`. Works on the whole
batch without reading a value on the host.
Deviations: the published third case is the linear estimate alone. Beside a kink of a piecewise
linear network, or where the box cuts a step short, it can cycle just before the boundary for ever
(seen in L2 on 9 and 4 of 400 digits for two networks, at 1,000 steps too); that eps never shrinks
before the first flip ends this. FMN follows the boundary of the class that it crosses into first,
the runner-up at the start: where another class is nearer it stays above the least distance, at
1,000 and 5,000 steps as at 200 (on 10 to 17 % of samples of a linear classifier of three classes).
An L0 radius does not fall below 1, where no search is left.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from thin_ice.attacks.balls import DUAL_NORM, LP_NORM, PROJECTION, TINY
from thin_ice.attacks.minimum_norm import MinimumNorm, Nearest, margin
from thin_ice.attacks.starts import STARTS
from thin_ice.attacks.threat import per_sample

GAMMA_FIRST, GAMMA_LAST = 0.05, 0.001


@dataclass(frozen=True)
class Fmn:
    """FMN as a study names it. ``max_stepsize`` is in L2, on the [0, 1] scale of images."""

    norms: ClassVar[tuple[str, ...]] = ("L0", "L1", "L2", "Linf")
    misclassified: ClassVar[bool] = True

    steps: int = 1000
    max_stepsize: float = 1.0
    start: Literal["sample", "boundary", "noise"] = "sample"

    def search(self, model: nn.Module, images: Tensor, labels: Tensor, norm: str) -> MinimumNorm:
        """See `fmn`."""
        start = STARTS[self.start](model, images, labels, norm)
        return fmn(model, images, labels, norm, self.steps, self.max_stepsize, start)


def fmn(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    norm: str,
    steps: int,
    max_stepsize: float,
    start: Tensor | None = None,
) -> MinimumNorm:
    """Least flip of each float image (N, C, H, W) in [0, 1]: wrong if it is right, right if wrong.

    The model must be in evaluation mode with frozen parameters. ``norm``: L0, L1, L2 or Linf.
    ``start``: where each search begins, the images themselves by default.
    """
    with torch.no_grad():
        right = model(images).argmax(1) == labels
    side = torch.where(right, 1.0, -1.0)
    points, nearest = images if start is None else start, Nearest(images, norm)
    radius = LP_NORM[norm](points - images).clamp_min(float(norm == "L0"))
    farthest = LP_NORM[norm](torch.maximum(images, 1 - images))
    for step in range(steps):
        decay = (1 + math.cos(math.pi * step / steps)) / 2
        gamma = GAMMA_LAST + (GAMMA_FIRST - GAMMA_LAST) * decay
        stepsize = max_stepsize * (0.01 + 0.99 * decay)
        loss, gradient = _signed_margin(model, points, labels, side)
        size = nearest.see(points, loss < 0)
        if norm == "L0":
            radius = _whole_radius(radius, gamma, loss < 0, nearest.distance)
        else:
            outside = size + loss.abs() / DUAL_NORM[norm](gradient).clamp_min(TINY)
            radius = _radius(radius, gamma, loss < 0, nearest.distance, outside)
        radius = torch.minimum(radius, farthest)
        length = per_sample(gradient.flatten(1).norm(dim=1).clamp_min(TINY), gradient)
        delta = PROJECTION[norm](points - images - stepsize * gradient / length, radius)
        points = (images + delta).clamp(0, 1)
    return nearest.confirmed(model, labels, right)


def _radius(
    radius: Tensor, gamma: float, flipped: Tensor, smallest: Tensor, linear: Tensor
) -> Tensor:
    """The next radius, (N,). ``linear``: distance to the linearised boundary."""
    grown = radius * (1 + gamma)
    outside = torch.where(smallest.isinf(), torch.maximum(grown, linear), grown)
    return torch.where(flipped, torch.minimum(radius * (1 - gamma), smallest), outside)


def _whole_radius(radius: Tensor, gamma: float, flipped: Tensor, smallest: Tensor) -> Tensor:
    """The next radius of L0, (N,)."""
    shrunk = torch.minimum(radius - 1, (radius * (1 - gamma)).floor()).minimum(smallest)
    grown = torch.maximum(radius + 1, (radius * (1 + gamma)).floor())
    return torch.where(flipped, shrunk, grown).clamp_min(1)


def _signed_margin(
    model: nn.Module, images: Tensor, labels: Tensor, side: Tensor
) -> tuple[Tensor, Tensor]:
    """The margin towards the sample's own side, (N,), and its gradient, (N, C, H, W)."""
    images = images.detach().requires_grad_(True)
    loss = side * margin(model(images), labels)
    (gradient,) = torch.autograd.grad(loss.sum(), images)
    return loss.detach(), gradient

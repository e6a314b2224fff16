"""Projected gradient descent (Madry et al. 2018), as training adversary and as evaluation attack.

x_0 from the start, x_{k+1} = project(x_k + step_size * steepest(grad loss(x_k))). One generator
of iterates serves both uses: training takes the last point, an evaluation may look at each.
"""

from collections.abc import Callable, Iterator
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from thin_ice.attacks.threat import ThreatModel

Start = Literal["uniform", "gaussian", "clean"]
AttackLoss = Callable[[Tensor], Tensor]  # logits (N, K) -> a scalar to be increased

GAUSSIAN_START_STD = 0.001  # TRADES, HYDRA and MART start at x + 0.001 N(0, 1)


def cross_entropy_of(labels: Tensor) -> AttackLoss:
    """The loss that most attacks increase; summed, so that no sample's gradient is scaled down."""
    return lambda logits: F.cross_entropy(logits, labels, reduction="sum")


def start_point(
    images: Tensor, threat: ThreatModel, start: Start, generator: torch.Generator
) -> Tensor:
    """Where the attack begins, shape of ``images``. The Gaussian start is not clipped to the box,
    as in the released code; the first projection does it.
    """
    if start == "uniform":
        return threat.random_start(images, generator)
    if start == "gaussian":
        noise = torch.empty_like(images).normal_(generator=generator)
        return images + GAUSSIAN_START_STD * noise
    return images.clone()


def pgd_iterates(
    model: nn.Module,
    images: Tensor,
    threat: ThreatModel,
    loss: AttackLoss,
    start: Tensor,
    steps: int,
    step_size: float,
) -> Iterator[Tensor]:
    """Yield x_1 ... x_steps, each (N, C, H, W) in the ball and the box. Gradients are taken with
    respect to the images only. The caller decides the model's mode.
    """
    adversarial = start.detach()
    for _ in range(steps):
        adversarial.requires_grad_(True)
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(loss(model(adversarial)), adversarial)
        ascent = threat.steepest(gradient).mul_(step_size).add_(adversarial.detach())
        adversarial = threat.project(ascent, images)
        yield adversarial


def pgd(
    model: nn.Module,
    images: Tensor,
    threat: ThreatModel,
    loss: AttackLoss,
    start: Tensor,
    steps: int,
    step_size: float,
) -> Tensor:
    """The last iterate of `pgd_iterates`, detached; ``start`` itself when ``steps`` is 0."""
    last = start
    for iterate in pgd_iterates(model, images, threat, loss, start, steps, step_size):
        last = iterate
    return last.detach()

"""The certified radius: the largest ball in which the predicted class certainly does not change."""

import torch
from torch import Tensor, nn

from thin_ice.verification.margins import certain_margin, exact_network

OCTAVES = 16  # from the largest radius that is tried to the smallest


@torch.no_grad()
def certified_radius(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    threat_norm: str,
    method: str,
    upper: float,
    rounds: int,
) -> Tensor:
    """Float64 (N,), signed as distances are: positive where the prediction is the label, negative
    where it is not, 0 where no radius is certified.

    By bisection of its logarithm, since radii of networks that were trained to be verified and of
    those that were not are orders of magnitude apart: from ``upper`` down to 2^-16 of it. Each
    radius that is returned was verified itself, and is within a factor of 2^(16 / 2^rounds) of one
    that was not, or is ``upper``. From 2 rounds on ``upper / 16`` itself is tried, unless a
    smaller one has failed.

    Args:
        model: bounded in evaluation mode.
        images: float (N, C, H, W) in [0, 1].
        labels: int64 (N,).
        threat_norm: Linf, L2 or L1.
        method: of `thin_ice.verification.margins.METHODS`.
        upper: the largest radius that is tried, in units of the [0, 1] image scale.
        rounds: bisections.

    Raises:
        CannotBound: the network has an operation without bounds.
        ValueError: the method is unknown.
    """
    network = exact_network(model, images)
    predicted = network.logits.argmax(1)

    def radius(exponent: Tensor) -> Tensor:
        return upper * 2**-exponent

    def holds(exponent: Tensor) -> Tensor:
        eps = radius(exponent)
        return certain_margin(network, images, predicted, threat_norm, eps, method) > 0

    high = images.new_zeros(len(images), dtype=torch.float64)
    low = torch.full_like(high, OCTAVES)
    anywhere, everywhere = holds(low), holds(high)
    low = torch.where(everywhere, high, low)
    for _ in range(rounds):
        middle = (low + high) / 2
        here = holds(middle)
        low, high = torch.where(here, middle, low), torch.where(here, high, middle)
    found = torch.where(anywhere | everywhere, radius(low), 0)
    return torch.where(predicted == labels, found, -found)

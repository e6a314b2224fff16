"""The certified radius: the largest ball in which the predicted class certainly does not change."""

import torch
from torch import Tensor, nn

from thin_ice.verification.margins import certain_margin, exact_network


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

    By bisection. Each radius that is returned was verified itself, and lies within
    ``upper / 2**rounds`` of one that was not, or is ``upper``.

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
    high = images.new_full((len(images),), upper, dtype=torch.float64)
    holds = certain_margin(network, images, predicted, threat_norm, high, method) > 0
    low = torch.where(holds, high, 0)
    for _ in range(rounds):
        middle = (low + high) / 2
        holds = certain_margin(network, images, predicted, threat_norm, middle, method) > 0
        low, high = torch.where(holds, middle, low), torch.where(holds, high, middle)
    return torch.where(predicted == labels, low, -low)

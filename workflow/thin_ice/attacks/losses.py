"""The losses that evaluation attacks increase, each on logits (N, K) and labels (N,).

ce: cross-entropy. cw: the margin of Carlini & Wagner (2017), max_{j != y} z_j - z_y, which does
not saturate where the softmax does. dlr: the same margin over z_1 - z_3, the logits sorted
downwards (Croce & Hein 2020), which no rescaling of the logits changes.
"""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from thin_ice.attacks.minimum_norm import margin

TINY = 1e-12


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels, reduction="none")


def cw_margin(logits: Tensor, labels: Tensor) -> Tensor:
    return -margin(logits, labels)


def logits_ratio(logits: Tensor, labels: Tensor) -> Tensor:
    highest = logits.topk(3, dim=1).values
    return -margin(logits, labels) / (highest[:, 0] - highest[:, 2] + TINY)


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {  # each gives one value a sample, (N,)
    "ce": cross_entropy,
    "cw": cw_margin,
    "dlr": logits_ratio,
}

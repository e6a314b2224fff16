"""How a weight carries connections that come and go during training."""

from typing import Any

import torch
from torch import Tensor, nn

from thin_ice.sparsity.parametrizations import FixedMask


class _DenseGradient(torch.autograd.Function):
    """A mask forwards, identity backwards."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, mask: Tensor) -> Tensor:
        return weight * mask

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


class MovingMask(FixedMask):
    """``w * mask`` where masked weights get the gradient that they would have if they were there:
    for methods whose masks move. Whoever moves them keeps masked weights at zero.
    """

    def forward(self, weight: Tensor) -> Tensor:
        return _DenseGradient.apply(weight, self.mask)


class SignedRewiring(nn.Module):
    """``sign * max(theta, 0)`` with fixed signs: a weight is connected while its theta is positive,
    and theta of others gets no gradient (Bellec et al. 2018).
    """

    def __init__(self, sign: Tensor) -> None:
        super().__init__()
        self.register_buffer("sign", sign)

    def forward(self, theta: Tensor) -> Tensor:
        return self.sign * theta.relu()

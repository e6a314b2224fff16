"""Weights that are products of two trained factors (Li et al., AAAI 2023)."""

import torch
from torch import Tensor, nn


class FactorPair(nn.Module):
    """The product ``a * b`` of two tensors in the weight's shape, both trained. They begin as
    ``sign(w) sqrt|w|`` and ``sqrt|w|``.
    """

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a * b

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        root = weight.abs().sqrt()
        return weight.sign() * root, root


class MixedRows(nn.Module):
    """``A W`` with a square A, (out, out), on the weight as a matrix of (out) rows, both trained. A
    begins as the identity.
    """

    def forward(self, mixing: Tensor, weight: Tensor) -> Tensor:
        return (mixing @ weight.flatten(1)).view_as(weight)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return torch.eye(len(weight), dtype=weight.dtype, device=weight.device), weight

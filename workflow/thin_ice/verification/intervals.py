"""Boxes: a lower and an upper bound of every value."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Interval:
    """``lower`` <= value <= ``upper``, each (N, ...)."""

    lower: Tensor
    upper: Tensor

    @property
    def centre(self) -> Tensor:
        return (self.lower + self.upper) / 2

    @property
    def radius(self) -> Tensor:
        return (self.upper - self.lower) / 2

    @property
    def shape(self) -> torch.Size:
        """Of one sample's values."""
        return self.lower.shape[1:]

    def rows(self, index: Tensor) -> "Interval":
        """The samples of these numbers, int64 (P,), in this order."""
        return Interval(self.lower[index], self.upper[index])

    def least(self, slopes: Tensor) -> Tensor:
        """The least value in the box of each linear function: slopes (N, S, ...) to (N, S)."""
        return dot(slopes, self.centre) - dot(slopes.abs(), self.radius)


def dot(slopes: Tensor, values: Tensor) -> Tensor:
    """Inner products of (N, S, ...) with one (N, ...), or one (...), a sample: (N, S)."""
    if values.dim() < slopes.dim() - 1:
        return slopes.flatten(2) @ values.flatten()
    return (slopes.flatten(2) @ values.flatten(1).unsqueeze(2)).squeeze(2)

"""Operators that are not linear, and the linear bounds that take their place over a box.

ReLU (Zhang et al. 2018, CROWN) on l <= x <= u:
    l >= 0: x;    u <= 0: 0;    between: a x <= relu(x) <= u (x - l) / (u - l)
with a = 1 where u > -l and a = 0 elsewhere, which makes the area between the two bounds least.

Max pooling: below by the entry whose lower bound is largest; above by the same entry where it is at
least every other entry's upper bound, so that it is the maximum, and elsewhere by the largest upper
bound, a constant.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from thin_ice.verification.intervals import Interval, dot
from thin_ice.verification.linear import Pair
from thin_ice.verification.operator import Operator

NARROWEST = 1e-8  # a chord over less is taken over this much, or its gradient would overflow


class Nonlinear(Operator):
    """Increasing in each input, so an interval passes by its ends."""

    linear: ClassVar[bool] = False

    def interval(self, *values: Interval) -> Interval:
        (value,) = values
        return Interval(self.forward(value.lower), self.forward(value.upper))

    @abstractmethod
    def undecided(self, value: Interval) -> Tensor:
        """Of which inputs tighter bounds would tighten the relaxation: bool (N, ...)."""


@dataclass(frozen=True)
class Relu(Nonlinear):
    """max(x, 0)."""

    def forward(self, *values: Tensor) -> Tensor:
        return values[0].relu()

    def undecided(self, value: Interval) -> Tensor:
        return (value.lower < 0) & (value.upper > 0)

    def backward(
        self, slopes: Tensor, *values: Interval
    ) -> tuple[tuple[Tensor, ...], Tensor | int]:
        below, above, intercept = _chords(*values)
        steepness = torch.where(slopes >= 0, below.unsqueeze(1), above.unsqueeze(1))
        return (slopes * steepness,), dot(slopes.clamp_max(0), intercept)


def _chords(value: Interval) -> tuple[Tensor, Tensor, Tensor]:
    """Slope of the lower bound, slope and intercept of the upper one, each (N, ...)."""
    low = value.lower.clamp_max(0)
    high = torch.maximum(value.upper, low + NARROWEST)
    above = torch.where(value.upper > 0, high / (high - low), 0)
    below = (value.upper > -value.lower).to(above.dtype)
    return below, above, -above * low


@dataclass(frozen=True)
class MaxPool(Nonlinear):
    """The largest entry of each window; padding never is."""

    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair

    def forward(self, *values: Tensor) -> Tensor:
        return F.max_pool2d(*values, self.kernel, self.stride, self.padding, self.dilation)

    def undecided(self, value: Interval) -> Tensor:
        return torch.ones_like(value.lower, dtype=torch.bool)

    def backward(
        self, slopes: Tensor, *values: Interval
    ) -> tuple[tuple[Tensor, ...], Tensor | int]:
        (value,) = values
        entry, largest = self._largest(value)
        by_entry = (slopes >= 0) | largest.unsqueeze(1)
        passed = torch.where(by_entry, slopes, 0).flatten(3)
        before = slopes.new_zeros(*slopes.shape[:3], value.shape[1] * value.shape[2])
        before = before.scatter_add(3, entry.unsqueeze(1).expand_as(passed), passed)
        constant = dot(torch.where(by_entry, 0, slopes), self.forward(value.upper))
        return (before.unflatten(3, value.shape[1:]),), constant

    @torch.no_grad()
    def _largest(self, value: Interval) -> tuple[Tensor, Tensor]:
        """Of each window, the place (N, C, windows) of the entry with the largest lower bound, and
        whether it is certainly the maximum (N, C, pooled height, pooled width).
        """
        lower, upper = self._windows(value.lower), self._windows(value.upper)
        best, which = lower.max(2, keepdim=True)
        rival = upper.scatter(2, which, -torch.inf).amax(2, keepdim=True)
        height, width = value.shape[1:]
        places = torch.arange(height * width, dtype=torch.float64, device=lower.device)
        places = self._windows(places.view(1, 1, height, width)).expand(*lower.shape)
        pooled = self.forward(value.lower).shape
        return places.gather(2, which).squeeze(2).long(), (best >= rival).view(pooled)

    def _windows(self, values: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, entries of a window, windows), -inf where the padding is."""
        rows, columns = self.padding
        padded = F.pad(values, (columns, columns, rows, rows), value=-torch.inf)
        windows = F.unfold(
            padded.flatten(0, 1).unsqueeze(1), self.kernel, self.dilation, 0, self.stride
        )
        return windows.unflatten(0, values.shape[:2])

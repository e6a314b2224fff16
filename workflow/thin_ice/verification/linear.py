"""Operators that are linear, or affine, in their inputs: a bound passes them without loss.

An interval passes ``W x + b`` as centre and radius: ``W c + b`` and ``|W| r`` (Gowal et al. 2018).
A linear bound passes back through the transpose: ``a (W x + b) = (W' a) x + a b``.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from thin_ice.verification.intervals import Interval, dot
from thin_ice.verification.operator import Operator

Pair = tuple[int, int]


class Weighted(Operator):
    """With weights of either sign: an interval passes as centre and radius."""

    linear: ClassVar[bool] = True

    @abstractmethod
    def spread(self, radius: Tensor) -> Tensor:
        """Half the width of the outputs where ``radius`` is half the width of the inputs."""

    def interval(self, *values: Interval) -> Interval:
        (value,) = values
        centre, radius = self.forward(value.centre), self.spread(value.radius)
        return Interval(centre - radius, centre + radius)


class Increasing(Operator):
    """With no negative weight: an interval passes by its ends."""

    linear: ClassVar[bool] = True

    def interval(self, *values: Interval) -> Interval:
        lower, upper = ([getattr(v, end) for v in values] for end in ("lower", "upper"))
        return Interval(self.forward(*lower), self.forward(*upper))


@dataclass(frozen=True)
class Convolution(Weighted):
    """A two-dimensional convolution with zero padding."""

    weight: Tensor  # (out, in / groups, height, width)
    bias: Tensor | None
    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int

    def forward(self, *values: Tensor) -> Tensor:
        return self._convolve(*values, self.weight, self.bias)

    def spread(self, radius: Tensor) -> Tensor:
        return self._convolve(radius, self.weight.abs(), None)

    def backward(
        self, slopes: Tensor, *values: Interval
    ) -> tuple[tuple[Tensor, ...], Tensor | int]:
        before = F.conv_transpose2d(
            slopes.flatten(0, 1),
            self.weight,
            stride=self.stride,
            padding=self.padding,
            output_padding=self._left_over(slopes.shape[-2:], values[0].shape[-2:]),
            groups=self.groups,
            dilation=self.dilation,
        ).unflatten(0, slopes.shape[:2])
        constant = 0 if self.bias is None else slopes.sum((3, 4)) @ self.bias
        return (before,), constant

    def _convolve(self, values: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.conv2d(values, weight, bias, self.stride, self.padding, self.dilation, self.groups)

    def _left_over(self, outputs: torch.Size, inputs: torch.Size) -> list[int]:
        """Pixels at the far border that no stride reaches, an axis each."""
        axes = zip(
            inputs,
            outputs,
            self.weight.shape[2:],
            self.stride,
            self.padding,
            self.dilation,
            strict=True,
        )
        return [
            size - ((steps - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1)
            for size, steps, kernel, stride, padding, dilation in axes
        ]


@dataclass(frozen=True)
class Dense(Weighted):
    """A linear layer on vectors."""

    weight: Tensor  # (out, in)
    bias: Tensor | None

    def forward(self, *values: Tensor) -> Tensor:
        return F.linear(*values, self.weight, self.bias)

    def spread(self, radius: Tensor) -> Tensor:
        return F.linear(radius, self.weight.abs())

    def backward(
        self, slopes: Tensor, *values: Interval
    ) -> tuple[tuple[Tensor, ...], Tensor | int]:
        constant = 0 if self.bias is None else slopes @ self.bias
        return (slopes @ self.weight,), constant


@dataclass(frozen=True)
class Affine(Weighted):
    """``scale * x + shift``, both broadcast over a sample's values: batch norm with its statistics
    given, normalisation of images, arithmetic with constants.
    """

    scale: Tensor
    shift: Tensor

    def forward(self, *values: Tensor) -> Tensor:
        return values[0] * self.scale + self.shift

    def spread(self, radius: Tensor) -> Tensor:
        return radius * self.scale.abs()

    def backward(
        self, slopes: Tensor, *values: Interval
    ) -> tuple[tuple[Tensor, ...], Tensor | int]:
        return (slopes * self.scale,), dot(slopes, self.shift.expand(values[0].shape))


@dataclass(frozen=True)
class AveragePool(Increasing):
    """Average pooling of any kind: a matrix an axis, ``rows @ x @ columns'``."""

    rows: Tensor  # (pooled height, height)
    columns: Tensor  # (pooled width, width)

    def forward(self, *values: Tensor) -> Tensor:
        return self.rows @ values[0] @ self.columns.T

    def backward(
        self, slopes: Tensor, *values: Interval
    ) -> tuple[tuple[Tensor, ...], Tensor | int]:
        return (self.rows.T @ slopes @ self.columns,), 0


@dataclass(frozen=True)
class Flatten(Increasing):
    """All values of a sample in one axis."""

    def forward(self, *values: Tensor) -> Tensor:
        return values[0].flatten(1)

    def backward(
        self, slopes: Tensor, *values: Interval
    ) -> tuple[tuple[Tensor, ...], Tensor | int]:
        return (slopes.unflatten(2, values[0].shape),), 0


@dataclass(frozen=True)
class Same(Increasing):
    """What leaves its input as it is."""

    def forward(self, *values: Tensor) -> Tensor:
        return values[0]

    def backward(
        self, slopes: Tensor, *values: Interval
    ) -> tuple[tuple[Tensor, ...], Tensor | int]:
        return (slopes,), 0


@dataclass(frozen=True)
class Sum(Increasing):
    """The addition at the end of a residual block."""

    def forward(self, *values: Tensor) -> Tensor:
        return values[0] + values[1]

    def backward(
        self, slopes: Tensor, *values: Interval
    ) -> tuple[tuple[Tensor, ...], Tensor | int]:
        return (slopes, slopes), 0

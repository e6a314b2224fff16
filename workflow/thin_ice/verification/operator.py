"""What every operator of a network can do: compute, pass an interval, pass a linear bound back."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor

from thin_ice.errors import ThinIceError
from thin_ice.verification.intervals import Interval


class CannotBound(ThinIceError):
    """A network with an operation for which there are no bounds here."""


class Operator(ABC):
    """One operation with the weights and statistics that it has at the moment.

    ``linear`` says that a linear bound passes it without being relaxed.
    """

    linear: ClassVar[bool]

    @abstractmethod
    def forward(self, *values: Tensor) -> Tensor:
        """The operation itself, on values (N, ...)."""

    @abstractmethod
    def interval(self, *values: Interval) -> Interval:
        """A box that holds every output of inputs from these boxes."""

    @abstractmethod
    def backward(
        self, slopes: Tensor, *values: Interval
    ) -> tuple[tuple[Tensor, ...], Tensor | int]:
        """From slopes (N, S, ...) on the output, slopes on each input and a constant (N, S):
        ``sum of slopes_in * input + constant <= slopes * output`` for inputs from the boxes.
        Of a linear operator both sides are equal, and only the boxes' shape counts.
        """

"""Bounds of one batch: intervals forwards, linear bounds backwards (IBP, CROWN-IBP, CROWN).

    ibp         intervals through all layers (Gowal et al. 2018). The margins' specification passes
                back through the layers after the last nonlinear one, so that it is the margin, and
                not each logit, that is bounded.
    crown_ibp   one linear bound of the margins passes back to the image; ReLUs and max pools are
                relaxed over their intervals (Zhang et al. 2020).
    crown       the same with the inputs of each ReLU and max pool bounded by linear bounds that
                pass back from there, where those are tighter (Zhang et al. 2018). No chosen
                relaxation is the tightest everywhere, so the margins are the best of all three.

By intersection crown is never looser than the others. CROWN-IBP is not always tighter than IBP:
its lower bound x of an undecided ReLU is below the interval's 0.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from thin_ice.verification.graph import Step, graph_of
from thin_ice.verification.intervals import Interval
from thin_ice.verification.nonlinear import Nonlinear
from thin_ice.verification.operator import CannotBound, Operator
from thin_ice.verification.region import Region

METHODS = ("ibp", "crown_ibp", "crown")
# Elements of one tensor of slopes while intermediate bounds pass back: on a CPU large tensors cost
# more in fetching memory than small ones in calls.
LARGEST_TENSOR = {"cpu": 2**20, "cuda": 2**26}


@dataclass(frozen=True)
class Network:
    """A network as one batch sees it: its steps with their operators, and the batch's logits."""

    steps: tuple[Step, ...]
    operators: tuple[Operator, ...]
    logits: Tensor

    def forward(self, images: Tensor) -> list[Tensor]:
        """Every value, images first, as the operators compute them."""
        values = [images]
        for step, operator in zip(self.steps, self.operators, strict=True):
            values.append(operator.forward(*(values[number] for number in step.inputs)))
        return values


def network_of(model: nn.Module, images: Tensor, dtype: torch.dtype) -> Network:
    """Run the network once on a batch, in the mode it is in, and read its operators.

    Raises:
        CannotBound: see `graph_of`.
    """
    graph = graph_of(model)
    values, operators = [images], []
    for step in graph.steps:
        inputs = [values[number] for number in step.inputs]
        values.append(step.run(*inputs))
        operators.append(step.read(dtype, *inputs))
    logits = values[graph.output]
    if logits.dim() != 2:
        raise CannotBound(f"logits of shape {tuple(logits.shape)}; allowed are (images, classes)")
    return Network(graph.steps[: graph.output], tuple(operators[: graph.output]), logits)


class Bounds:
    """Bounds of a network over a region; what the methods share is computed once."""

    def __init__(self, network: Network, region: Region, largest_tensor: int | None = None) -> None:
        self.network, self.region = network, region
        self.largest_tensor = largest_tensor or LARGEST_TENSOR[region.images.device.type]

    @cached_property
    def intervals(self) -> list[Interval]:
        """A box of every value, images first."""
        return self._propagate(tightened=False)

    @cached_property
    def tightened(self) -> list[Interval]:
        """The same, intersected with linear bounds where a nonlinear operator reads."""
        return self._propagate(tightened=True)

    def least(self, slopes: Tensor, method: str) -> Tensor:
        """A lower bound of each linear function of the logits: slopes (N, S, classes) to (N, S).

        Raises:
            ValueError: the method is none of `METHODS`.
        """
        if method not in METHODS:
            raise ValueError(f"method is {method!r}, allowed are {', '.join(METHODS)}")
        end = len(self.network.steps)
        if method == "ibp":
            return self._back(end, slopes, self.intervals, to_images=False)
        by_intervals = self._back(end, slopes, self.intervals)
        if method == "crown_ibp":
            return by_intervals
        best = torch.maximum(by_intervals, self.least(slopes, "ibp"))
        return torch.maximum(best, self._back(end, slopes, self.tightened))

    def _propagate(self, tightened: bool) -> list[Interval]:
        readers = self._nonlinear_readers() if tightened else {}
        boxes = [self.region.interval()]
        for number, (step, operator) in enumerate(self._steps(), 1):
            box = operator.interval(*(boxes[i] for i in step.inputs))
            if number in readers:
                box = self._tighten(number, box, boxes, readers[number])
            boxes.append(box)
        return boxes

    def _steps(self) -> Iterator[tuple[Step, Operator]]:
        return zip(self.network.steps, self.network.operators, strict=True)

    def _nonlinear_readers(self) -> dict[int, list[Nonlinear]]:
        """By number of a value, the nonlinear operators that read it."""
        readers: dict[int, list[Nonlinear]] = {}
        for step, operator in self._steps():
            if isinstance(operator, Nonlinear):
                readers.setdefault(step.inputs[0], []).append(operator)
        return readers

    def _tighten(
        self, number: int, box: Interval, boxes: list[Interval], readers: list[Nonlinear]
    ) -> Interval:
        """Intersect a value's box with linear bounds, where some reader gains from that."""
        undecided = torch.stack([reader.undecided(box) for reader in readers]).any(0).flatten(1)
        wanted = undecided.nonzero()
        widest = max(b.shape.numel() for b in [*boxes, box])
        lower, upper = box.lower.flatten(1), box.upper.flatten(1)
        for pairs in wanted.split(max(1, self.largest_tensor // (2 * widest))):
            rows, places = pairs.unbind(1)
            count = torch.arange(len(rows), device=rows.device)
            slopes = lower.new_zeros(len(rows), 2, lower.shape[1])
            slopes[count, 0, places] = 1
            slopes[count, 1, places] = -1
            found = self._back(number, slopes.unflatten(2, box.shape), boxes, rows)
            lower = _raised(lower, rows, places, found[:, 0])
            upper = -_raised(-upper, rows, places, found[:, 1])
        return Interval(lower.view_as(box.lower), upper.view_as(box.upper))

    def _back(
        self,
        number: int,
        slopes: Tensor,
        boxes: list[Interval],
        rows: Tensor | None = None,
        to_images: bool = True,
    ) -> Tensor:
        """A lower bound, (N, S), of ``slopes`` (N, S, ...) times a value.

        Args:
            number: of the value.
            slopes: for all samples, or for those of ``rows``.
            boxes: of all values before this one.
            rows: int64 (N,), numbers of samples; None for all.
            to_images: whether nonlinear steps are relaxed and passed, or end the way: then what
                arrives there takes its least value over the step's box.
        """
        pending, total = {number: slopes}, slopes.new_zeros(slopes.shape[:2])
        for at in range(number, 0, -1):
            if at not in pending:
                continue
            arrived = pending.pop(at)
            operator, inputs = self.network.operators[at - 1], self.network.steps[at - 1].inputs
            if not (operator.linear or to_images):
                total = total + boxes[at].least(arrived)
                continue
            before = [boxes[i] for i in inputs]
            if rows is not None and not operator.linear:
                before = [box.rows(rows) for box in before]
            passed, constant = operator.backward(arrived, *before)
            total = total + constant
            for i, each in zip(inputs, passed, strict=True):
                pending[i] = pending[i] + each if i in pending else each
        if 0 in pending:
            region = self.region if rows is None else self.region.rows(rows)
            total = total + region.least(pending[0])
        return total


def _raised(bound: Tensor, rows: Tensor, places: Tensor, found: Tensor) -> Tensor:
    """The bound (N, D) with these entries no lower than what was found."""
    return bound.index_put((rows, places), torch.maximum(bound[rows, places], found))

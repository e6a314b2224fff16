"""A network without its dead channels: really smaller, and the same function.

A channel is dead when every weight that reads it is zero, or feeds dead channels alone. That is
read off the weights, so it finds what structured pruning cut away as well as the channels that
pruning single weights happened to leave without a reader. The surgery is torch-pruning's.

What is not removed: a channel whose own weights are zero but which is read. Batch norm and bias
make a constant of it, and at the border of a zero-padded map that constant is no bias of the next
layer. Of a group without a living channel one dead channel stays, since torch has no layers
without channels; it is read by zeros only.
"""

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from thin_ice.errors import ModelError
from thin_ice.sparsity.channels import COLUMNS, ChannelGroup, channel_groups, dependency_graph

TOLERANCE = 1e-5  # of logits, absolute
ROUNDING = 1e-5  # of float32, relative to the largest logit: some 30 times what was seen


class LogitsChanged(ModelError):
    """The compact network does not compute what the pruned one computes."""


@dataclass(frozen=True)
class Compact:
    """``model``: plain, in evaluation mode. ``kept``: of each group, by name, bool (size,): which
    channels it still has. ``emptied``: the groups without a living channel.
    """

    model: nn.Module
    kept: dict[str, Tensor]
    emptied: tuple[str, ...]

    @property
    def removed(self) -> int:
        """Number of channels that are gone."""
        return sum(int((~kept).sum()) for kept in self.kept.values())


def compact(model: nn.Module, example: Tensor) -> Compact:
    """Remove the dead channels of a plain network, which is left as it is.

    Args:
        model: without parametrizations, zeros where pruned.
        example: float (N, C, H, W) on the model's device, of which only the shape counts.

    Raises:
        ModelError: as `channel_groups`.
    """
    groups = channel_groups(model, example)
    living = living_channels(model, groups)
    emptied = tuple(name for name, channels in living.items() if not channels.any())
    for name in emptied:
        living[name][0] = True
    smaller = deepcopy(model).eval()
    graph = dependency_graph(smaller, example)
    for name, channels in living.items():
        module, dead = smaller.get_submodule(name), (~channels).nonzero().flatten().tolist()
        if dead:
            cut = graph.get_pruner_of_module(module).prune_out_channels
            graph.get_pruning_group(module, cut, dead).prune()
    return Compact(smaller, living, emptied)


def living_channels(model: nn.Module, groups: Iterable[ChannelGroup]) -> dict[str, Tensor]:
    """By group, bool (size,) on the CPU: which channels some living channel, or a logit, reads."""
    groups = list(groups)
    names = {side.module for group in groups for side in (*group.producers, *group.consumers)}
    reads = {name: _reads(model.get_submodule(name).weight) for name in names}
    living: dict[str, Tensor] = {}
    while True:
        found = {group.name: _is_read(group, reads) for group in groups}
        if living and all(torch.equal(found[name], living[name]) for name in found):
            return found
        living = found
        for group in groups:  # what a dead channel reads counts for nothing
            for side in group.producers:
                reads[side.module][side.index[~living[group.name]].flatten()] = False


def _reads(weight: Tensor) -> Tensor:
    """Bool (outputs, inputs): between which there is a weight that is not zero."""
    return (weight.detach() != 0).unsqueeze(2).flatten(2).any(2).cpu()


def _is_read(group: ChannelGroup, reads: dict[str, Tensor]) -> Tensor:
    by_column = ((reads[side.module].any(0), side.index) for side in group.consumers)
    return torch.stack([read[index].any(COLUMNS) for read, index in by_column]).any(0)


@dataclass(frozen=True)
class LogitDifference:
    """The largest absolute difference of logits; in float64 where float32 could not decide."""

    float32: float
    float64: float | None = None


@torch.no_grad()
def logit_difference(model: nn.Module, other: nn.Module, images: Tensor) -> LogitDifference:
    """How far apart two networks, both in evaluation mode, are on float32 images (N, C, H, W).

    They are the same within `TOLERANCE` in float32, or, since the sums of logits above some 20 are
    rounded by more than that, in float64. Then float32 may differ by its own rounding.

    Raises:
        LogitsChanged: they are not.
    """
    expected = model(images)
    found = (other(images) - expected).abs().max().item()
    if found <= TOLERANCE:
        return LogitDifference(found)
    exact = _difference_in_float64(model, other, images)
    if not (exact <= TOLERANCE and found <= ROUNDING * expected.abs().max().item()):  # nor is NaN
        raise LogitsChanged(
            f"without its dead channels the network's logits differ by up to {found:.3g} in "
            f"float32 and {exact:.3g} in float64, allowed is {TOLERANCE:g}"
        )
    return LogitDifference(found, exact)


def _difference_in_float64(model: nn.Module, other: nn.Module, images: Tensor) -> float:
    first, second = (deepcopy(one).double()(images.double()) for one in (model, other))
    return (second - first).abs().max().item()

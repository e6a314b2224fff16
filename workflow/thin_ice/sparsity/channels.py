"""Channels that stand or fall together, derived from the network's graph.

A channel is a row of every layer that writes it (its *producers*: convolutions and linear layers),
an entry of the batch norms on its way, and columns of every layer that reads it (its *consumers*).
Adding two feature maps ties their channels together, so a residual stream is one group with many
producers. A flattened map makes height x width columns of each channel.

Which layers those are follows from a trace by torch-pruning (Fang et al., "DepGraph: Towards Any
Structural Pruning", CVPR 2023), never from names. Pruning a channel sets to zero whatever would
vanish with it (`group_masks`); then every consumer reads it through columns of zeros, and that
alone is what makes it removable.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
import torch_pruning
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from thin_ice.errors import ModelError
from thin_ice.sparsity.masks import Masks
from thin_ice.sparsity.parametrizations import weights_computed_once
from thin_ice.sparsity.prunable import KINDS, Layers

ROWS, COLUMNS = 0, 1  # dimensions of a weight: what a layer writes, what it reads


@dataclass(frozen=True)
class Side:
    """One end of a module that a group's channels lie along."""

    module: str  # its name in the network
    index: Tensor  # int64 (size, n): the n rows, entries or columns of each channel


@dataclass(frozen=True)
class ChannelGroup:
    """``size`` channels; whichever of them goes, goes from all of these modules."""

    name: str  # of the first producer, in order of definition
    size: int
    producers: tuple[Side, ...]  # convolutions and linear layers that write the channels
    norms: tuple[Side, ...]  # batch norms on their way
    consumers: tuple[Side, ...]  # convolutions and linear layers that read them


def channel_groups(model: nn.Module, example: Tensor, layers: Layers = "all") -> list[ChannelGroup]:
    """The groups of channels that may be pruned, in order of definition of their first producers:
    neither the image's channels nor the classifier's outputs.

    Args:
        model: plain or with parametrizations, in any mode; left as it is.
        example: float (N, C, H, W), of which only the shape counts.
        layers: ``convolutions`` leaves out groups that a linear layer writes to. Columns of a
            linear layer that reads a convolution's channels belong to those channels all the same.

    Raises:
        ModelError: channels pass through a kind of layer that is not understood.
    """
    shape_only = deepcopy(model).to("meta")
    graph = dependency_graph(shape_only, example.to("meta"))
    names = {module: name for name, module in shape_only.named_modules()}
    order = {name: place for place, name in enumerate(names.values())}
    groups = [_channel_group(graph, found, names, order) for found in graph.get_all_groups()]
    _require_whole_consumers(groups, model)
    groups = [group for group in groups if group.consumers and _written_by(group, model, layers)]
    return sorted(groups, key=lambda group: order[group.name])


def dependency_graph(model: nn.Module, example: Tensor) -> torch_pruning.DependencyGraph:
    """The trace of a network; puts it into evaluation mode.

    Raises:
        ModelError: a grouped convolution, whose channels are not independent of each other.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d) and module.groups > 1:
            raise ModelError(f"{name} has {module.groups} groups, channels are pruned of 1 only")
    # The trace follows the gradient of the images. Weights are computed beforehand, so that what
    # computes them is no part of it.
    with torch.no_grad(), weights_computed_once(model), torch.enable_grad():
        images = example.detach().clone().requires_grad_()
        return torch_pruning.DependencyGraph().build_dependency(model, [images])


def _channel_group(
    graph: torch_pruning.DependencyGraph,
    found: torch_pruning.dependency.Group,
    names: dict[nn.Module, str],
    order: dict[str, int],
) -> ChannelGroup:
    size = len(found[0].idxs)
    sides: dict[str, list[Side]] = {"producers": [], "norms": [], "consumers": []}
    for item in found:
        module = item.dep.target.module
        if role := _role(module, graph.is_out_channel_pruning_fn(item.dep.handler), names):
            index = _index(names[module], item.idxs, item.root_idxs, size)
            sides[role].append(Side(names[module], index))
    in_order = {
        role: tuple(sorted(ends, key=lambda side: order[side.module]))
        for role, ends in sides.items()
    }
    return ChannelGroup(in_order["producers"][0].module, size, **in_order)


def _role(module: object, writes: bool, names: dict[nn.Module, str]) -> str | None:
    """What a module is to the channels; None for an operation without weights."""
    if isinstance(module, KINDS["all"]):
        return "producers" if writes else "consumers"
    if isinstance(module, _BatchNorm):
        return "norms"
    if isinstance(module, nn.Parameter) or (
        isinstance(module, nn.Module) and list(module.parameters())
    ):
        raise ModelError(
            f"channels pass through {names.get(module, 'a free parameter')}, a "
            f"{type(module).__name__}, allowed are convolutions, linear layers and batch norms"
        )
    return None


def _index(module: str, places: Sequence[int], channels: Sequence[int], size: int) -> Tensor:
    """(size, n): the places of each channel, all channels having equally many."""
    by_channel: list[list[int]] = [[] for _ in range(size)]
    for place, channel in zip(places, channels, strict=True):
        by_channel[channel].append(place)
    if len({len(found) for found in by_channel}) != 1:
        raise ModelError(f"{module} does not take the same part of each of its {size} channels")
    return torch.tensor([sorted(found) for found in by_channel])


def _require_whole_consumers(groups: Iterable[ChannelGroup], model: nn.Module) -> None:
    """Each column of a layer that reads channels belongs to one: nothing was lost on the way."""
    read = Counter()
    for group in groups:
        read.update({side.module: side.index.numel() for side in group.consumers})
    for name, columns in read.items():
        if columns != (inputs := model.get_submodule(name).weight.shape[COLUMNS]):
            raise ModelError(f"{columns} of the {inputs} inputs of {name} were traced to channels")


def _written_by(group: ChannelGroup, model: nn.Module, layers: Layers) -> bool:
    modules = (model.get_submodule(side.module) for side in group.producers)
    return all(isinstance(module, KINDS[layers]) for module in modules)


def row_norms(group: ChannelGroup, model: nn.Module, order: float = 2) -> Tensor:
    """Norm of each channel's rows in all producers together, float (size,); biases do not count.

    The weights are those in force, parametrizations included.
    """
    return _norms(group.producers, ROWS, group.size, model, order)


def column_norms(group: ChannelGroup, model: nn.Module, order: float = 2) -> Tensor:
    """Norm of each channel's columns in all consumers together, float (size,)."""
    return _norms(group.consumers, COLUMNS, group.size, model, order)


def _norms(sides: Iterable[Side], axis: int, size: int, model: nn.Module, order: float) -> Tensor:
    parts = []
    for side in sides:
        weight = model.get_submodule(side.module).weight.transpose(0, axis)
        parts.append(weight[side.index.to(weight.device)].reshape(size, -1))
    return torch.linalg.vector_norm(torch.cat(parts, dim=1), ord=order, dim=1)


def group_masks(model: nn.Module, groups: Iterable[ChannelGroup], kept: dict[str, Tensor]) -> Masks:
    """Masks, by parameter name, of all that vanishes with the channels that are not kept.

    Args:
        model: gives the shapes and devices; left as it is.
        groups: of this network. Each parameter that any of them touches gets a mask.
        kept: bool (size,) by name of the group; a group that is not named keeps everything.

    Raises:
        ModelError: ``kept`` names no group, or is not one bool a channel.
    """
    groups = list(groups)
    _require_groups(groups, kept)
    masks: Masks = {}
    for group in groups:
        keep = kept.get(group.name, torch.ones(group.size, dtype=torch.bool))
        for side in (*group.producers, *group.norms):
            _strike(masks, model, side, keep, ROWS, ("weight", "bias"))
        for side in group.consumers:
            _strike(masks, model, side, keep, COLUMNS, ("weight",))
    return masks


def _require_groups(groups: Sequence[ChannelGroup], kept: dict[str, Tensor]) -> None:
    sizes = {group.name: group.size for group in groups}
    for name, keep in kept.items():
        if name not in sizes:
            raise ModelError(f"channels kept of {name!r}, allowed are {', '.join(sizes)}")
        if keep.dtype != torch.bool or keep.shape != (sizes[name],):
            raise ModelError(
                f"channels kept of {name!r} are {keep.dtype} {tuple(keep.shape)}, "
                f"allowed is torch.bool ({sizes[name]},)"
            )


def _strike(
    masks: Masks, model: nn.Module, side: Side, keep: Tensor, axis: int, names: Iterable[str]
) -> None:
    """Mask one side's part of the channels that are not kept."""
    module = model.get_submodule(side.module)
    for name in names:
        if (parameter := getattr(module, name)) is None:
            continue
        mask = masks.setdefault(
            f"{side.module}.{name}", torch.ones_like(parameter, dtype=torch.bool)
        )
        gone = side.index.to(mask.device)[~keep.to(mask.device)].flatten()
        mask.index_fill_(axis, gone, False)

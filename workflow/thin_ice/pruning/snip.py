"""Gradient times weight, the connection sensitivity of SNIP (Lee, Ajanthan, Torr, ICLR 2019), of
a trained network and with the loss that trained it.

A weight w has a gate c = 1, w c; the sensitivity |dL/dc| = |w dL/dw| is, to first order, how much
the loss L changes when w is pruned. Here it is summed over batches of the training data, at the
dense network in evaluation mode, and the largest stay: of each layer (``layer``), or of all layers
together as in the paper (``global``).
By ``filter`` the gate stands on a channel where others read it, so that its sensitivity is |sum of
w dL/dw| over its columns in all layers that read it: to first order what its removal does to the
loss (Molchanov et al. 2017, by another way).
Deviations: SNIP prunes before training, from one batch; here absolute values are summed over
``batches``, since at the end of training the gradient over all data vanishes where those of batches
do not.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from thin_ice.pruning.base import Pruner
from thin_ice.sparsity.channel_budgets import kept_channels
from thin_ice.sparsity.channels import ChannelGroup, channel_groups, group_masks
from thin_ice.sparsity.masks import ALLOCATIONS, Masks
from thin_ice.sparsity.parametrizations import fix_masks
from thin_ice.sparsity.prunable import prunable_weights
from thin_ice.training.setting import Setting


@dataclass(frozen=True)
class Snip:
    """Sensitivity of the run's own loss to each weight or filter."""

    batches: int | None = None  # of training data; null: one epoch
    allocation: Literal["layer", "global"] = "layer"  # of the budget
    layers: Literal["all", "convolutions"] = "all"  # which layers may be pruned

    limits: ClassVar[dict] = {"batches": [0, None]}
    pipeline: ClassVar[str] = "after"
    criterion: ClassVar[str] = "gradient times weight"
    paper: ClassVar[str] = "after Lee et al., ICLR 2019"
    units: ClassVar[tuple[str, ...]] = ("weight", "filter")
    claimed: ClassVar[str] = "hydra_pgd10"
    prune_plan: ClassVar[dict] = {"epochs": 0}
    finetune_plan: ClassVar[dict] = {"epochs": 100, "lr": 0.01, "schedule": "cosine_per_epoch"}

    def pruner(self, sparsity: float, unit: str = "weight") -> Pruner:
        return SnipFilterPruner(self, sparsity) if unit == "filter" else SnipPruner(self, sparsity)


def gate_gradients(weights: dict[str, Tensor], loss: Tensor) -> dict[str, Tensor]:
    """The gradients with respect to a gate of 1 on each weight, w dL/dw, in the weights' shapes."""
    gradients = torch.autograd.grad(loss, list(weights.values()))
    return {
        name: weight.detach() * gradient
        for (name, weight), gradient in zip(weights.items(), gradients, strict=True)
    }


def column_sums(group: ChannelGroup, tensors: dict[str, Tensor]) -> Tensor:
    """Sum of each channel's columns in all layers that read it, (size,), of tensors by the names
    and in the shapes of weights.
    """
    sums = torch.zeros((), device=next(iter(tensors.values())).device)
    for side in group.consumers:
        columns = tensors[f"{side.module}.weight"].transpose(0, 1)[side.index.to(sums.device)]
        sums = sums + columns.reshape(group.size, -1).sum(1)
    return sums


class SnipPruner(Pruner):
    """Holds the sum of the sensitivities so far, by the name of a weight."""

    def __init__(self, options: Snip, sparsity: float) -> None:
        self.options, self.sparsity = options, sparsity
        self.sensitivities: dict[str, Tensor] = {}

    def looks(self, setting: Setting) -> int:
        return self.options.batches or setting.batches_per_epoch

    def look(self, model: nn.Module, setting: Setting, number: int) -> None:
        loss = setting.loss(model, *setting.batch(number), number)
        for name, values in self._sensitivities(model, setting, loss).items():
            self.sensitivities[name] = self.sensitivities.get(name, 0) + values

    def _sensitivities(self, model: nn.Module, setting: Setting, loss: Tensor) -> dict[str, Tensor]:
        gates = gate_gradients(prunable_weights(model, self.options.layers), loss)
        return {name: gradient.abs() for name, gradient in gates.items()}

    def finish(self, model: nn.Module) -> Masks:
        masks = ALLOCATIONS[self.options.allocation](self.sensitivities, self.sparsity)
        fix_masks(model, masks)
        return masks

    def state(self) -> dict[str, Tensor]:
        return self.sensitivities

    def restore(self, state: dict[str, Tensor]) -> None:
        self.sensitivities = dict(state)


class SnipFilterPruner(SnipPruner):
    """Holds the sum of the sensitivities so far, by the name of a group of channels."""

    def __init__(self, options: Snip, sparsity: float) -> None:
        super().__init__(options, sparsity)
        self.groups: list[ChannelGroup] = []

    def _sensitivities(self, model: nn.Module, setting: Setting, loss: Tensor) -> dict[str, Tensor]:
        gates = gate_gradients(prunable_weights(model), loss)
        groups = self._groups(model, setting)
        return {group.name: column_sums(group, gates).abs() for group in groups}

    def _groups(self, model: nn.Module, setting: Setting) -> list[ChannelGroup]:
        if not self.groups:
            self.groups = channel_groups(model, setting.example, self.options.layers)
        return self.groups

    def attach(self, model: nn.Module, setting: Setting) -> None:
        self._groups(model, setting)

    def finish(self, model: nn.Module) -> Masks:
        kept = kept_channels(self.sensitivities, self.sparsity, self.options.allocation)
        masks = group_masks(model, self.groups, kept)
        fix_masks(model, masks)
        return masks

"""ADMM under a sparsity constraint: what R-ADMM and PwoA share.

min loss(W) + rho/2 ||W - Z + U||^2 with Z in the set of networks of the wanted sparsity. Training
moves W; at the start of each period but the first, rho <- growth * rho (up to a limit),
Z <- projection(W + U), U <- U + W - Z. At the very start Z is the projection of W, and U is 0. In
the end W is projected, without U.
The projection is the nearest network (Euclidean) of which, by the unit of pruning,
  weight: so many weights of each layer are left,
  column: so many columns of each layer's (out x in kh kw) matrix are not zero,
  filter: so many channels of each group have rows that are not zero, where a group is all the
          layers that write the same channels, tied by shortcuts.
So it keeps the largest by l2 norm; ties go to the lowest index, so that the budget is exact.
A filter's constraint is on rows alone: its bias, its batch norm and the columns that read it go
with it in the end.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn

from thin_ice.pruning.base import Pruner, detached
from thin_ice.sparsity.channels import ChannelGroup, channel_groups, group_masks
from thin_ice.sparsity.masks import Masks, column_masks, kept_count, layerwise_masks, top_k_mask
from thin_ice.sparsity.parametrizations import fix_masks
from thin_ice.sparsity.prunable import Layers, prunable_weights
from thin_ice.sparsity.rates import Counts, masks_of
from thin_ice.training.setting import Setting

Tensors = dict[str, Tensor]  # by parameter name


class Projection(Protocol):
    """Onto the networks of one sparsity in one unit."""

    def weights(self, model: nn.Module) -> dict[str, nn.Parameter]:
        """What the constraint is on, W."""
        ...

    def masks(self, tensors: Tensors) -> Masks:
        """Which entries of W-shaped tensors the nearest tensors in the set keep."""
        ...

    def vanishing(self, model: nn.Module) -> Masks:
        """Masks of all that goes when the network is projected."""
        ...


@dataclass(frozen=True)
class LayerwiseProjection:
    """Single weights or columns; ``choose`` gives masks of the largest scores."""

    choose: Callable[[Tensors], Masks]
    layers: Layers

    def weights(self, model: nn.Module) -> dict[str, nn.Parameter]:
        return prunable_weights(model, self.layers)

    def masks(self, tensors: Tensors) -> Masks:
        return self.choose({name: t.abs() for name, t in tensors.items()})

    def vanishing(self, model: nn.Module) -> Masks:
        return self.masks(detached(self.weights(model)))


@dataclass(frozen=True)
class FilterProjection:
    """Channels, the same share of each group."""

    groups: list[ChannelGroup]
    sparsity: float

    def weights(self, model: nn.Module) -> dict[str, nn.Parameter]:
        names = {side.module for group in self.groups for side in group.producers}
        modules = {name: m for name, m in model.named_modules() if name in names}
        return {f"{name}.weight": module.weight for name, module in modules.items()}

    def masks(self, tensors: Tensors) -> Masks:
        masks = {name: torch.zeros_like(t, dtype=torch.bool) for name, t in tensors.items()}
        kept = self._kept(tensors)
        for group in self.groups:
            keep = kept[group.name]
            for side in group.producers:
                masks[f"{side.module}.weight"][side.index.to(keep.device)[keep].flatten()] = True
        return masks

    def vanishing(self, model: nn.Module) -> Masks:
        return group_masks(model, self.groups, self._kept(detached(self.weights(model))))

    def _kept(self, tensors: Tensors) -> dict[str, Tensor]:
        """Which channels stay, bool (size,) by name of the group."""
        return {
            group.name: top_k_mask(
                _joint_norms(group, tensors), kept_count(group.size, self.sparsity)
            )
            for group in self.groups
        }


def _joint_norms(group: ChannelGroup, tensors: Tensors) -> Tensor:
    """The l2 norm of each channel's rows in all producers together, (size,)."""
    rows = []
    for side in group.producers:
        tensor = tensors[f"{side.module}.weight"]
        rows.append(tensor[side.index.to(tensor.device)].reshape(group.size, -1))
    return torch.cat(rows, 1).norm(dim=1)


def projection(
    unit: str, model: nn.Module, example: Tensor, layers: Layers, sparsity: float
) -> Projection:
    """The projection of a network onto a sparsity in a unit: weight, column or filter.

    Raises:
        KeyError: no such unit.
    """
    if unit == "filter":
        return FilterProjection(channel_groups(model, example, layers), sparsity)
    return LayerwiseProjection(partial(LAYERWISE[unit], sparsity=sparsity), layers)


LAYERWISE = {"weight": layerwise_masks, "column": column_masks}


@dataclass(frozen=True)
class Duals:
    """How the penalty grows, and when Z and U move."""

    rho: float  # at the start
    growth: float  # of rho, at each update
    limit: float  # of rho
    periods: int  # of the stage; Z and U are updated at the start of each but the first
    leaky: bool = False  # gradient of the penalty (1 + updates) times what the equations say
    refreshed: bool = False  # Z <- projection(W) before every other epoch


class AdmmPruner(Pruner):
    """Holds Z, U, rho and the number of dual updates so far."""

    def __init__(self, duals: Duals, layers: Layers, sparsity: float, unit: str) -> None:
        self.duals, self.layers, self.sparsity, self.unit = duals, layers, sparsity, unit
        self.counts: Counts = {}
        self.rho, self.updates = duals.rho, 0
        self.z: Tensors = {}
        self.u: Tensors = {}

    def allot(self, counts: Counts) -> None:
        """Keep so many weights of each layer, instead of the same share of all."""
        self.counts = counts

    def attach(self, model: nn.Module, setting: Setting) -> None:
        if self.counts:
            self.projection = LayerwiseProjection(
                partial(masks_of, counts=self.counts), self.layers
            )
        else:
            self.projection = projection(
                self.unit, model, setting.example, self.layers, self.sparsity
            )

    def before_epoch(self, model: nn.Module, epoch: int, epochs: int) -> None:
        weights = detached(self.projection.weights(model))
        periods = self.duals.periods
        if epoch == 0:
            self.z = self._project(weights)
            self.u = {name: torch.zeros_like(w) for name, w in weights.items()}
        elif _period(epoch, epochs, periods) > _period(epoch - 1, epochs, periods):
            self._update_duals(weights)
        elif self.duals.refreshed:
            self.z = self._project(weights)

    def _update_duals(self, weights: Tensors) -> None:
        self.rho = min(self.rho * self.duals.growth, self.duals.limit)
        self.updates += 1
        self.z = self._project({name: w + self.u[name] for name, w in weights.items()})
        self.u = {name: self.u[name] + w - self.z[name] for name, w in weights.items()}

    def _project(self, tensors: Tensors) -> Tensors:
        """The nearest tensors of the wanted sparsity."""
        masks = self.projection.masks(tensors)
        return {name: tensor * masks[name] for name, tensor in tensors.items()}

    def penalty(self, model: nn.Module) -> Tensor:
        distances = [
            (w - self.z[name] + self.u[name]).square().sum()
            for name, w in self.projection.weights(model).items()
        ]
        penalty = self.rho / 2 * torch.stack(distances).sum()
        if self.duals.leaky:
            # The value stays; the gradient is multiplied, as by the attached duals.
            penalty = (1 + self.updates) * penalty - self.updates * penalty.detach()
        return penalty

    def finish(self, model: nn.Module) -> Masks:
        masks = self.projection.vanishing(model)
        fix_masks(model, masks)
        return masks

    def state(self) -> Tensors:
        counters = {
            "rho": torch.tensor(self.rho, dtype=torch.float64),
            "updates": torch.tensor(self.updates),
        }
        duals = {f"z.{name}": z for name, z in self.z.items()}
        return counters | duals | {f"u.{name}": u for name, u in self.u.items()}

    def restore(self, state: Tensors) -> None:
        self.rho, self.updates = float(state["rho"]), int(state["updates"])
        self.z = {name[2:]: t for name, t in state.items() if name.startswith("z.")}
        self.u = {name[2:]: t for name, t in state.items() if name.startswith("u.")}


def _period(epoch: int, epochs: int, periods: int) -> int:
    """In which of the stage's periods an epoch lies."""
    return epoch * periods // epochs

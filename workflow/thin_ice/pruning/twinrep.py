"""TwinRep: sparse robust networks by reparametrization (Li et al., AAAI 2023).

From the beginning of training each weight is a product of two trained factors,
    weight   w = a * b, elementwise,
    filter   W = A V, the layer's (out x in kh kw) matrix mixed by an (out x out) one,
and weight decay on both factors favours products that are zero. Once, early on, the entries of
largest |w|, or the channels of largest norm, are chosen over all layers together; the mask then
stands still and the rest is trained on. In the end the product is an ordinary weight.
Published: 100 epochs at 0.1, falling tenfold at 70 and 85 %, pruned at epoch 10, decay 2e-4 on both
factors, TRADES (beta 6) at 0.031; here the objective of the run.
What we have does not say how factors begin. Here so that the product is the network's own
initialisation: a = sign(w) sqrt|w| and b = sqrt|w|, A the identity. Norms of channels are compared
over all groups after division by their group's mean, and each group keeps its largest. Before the
network is pruned no epoch may be chosen.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from thin_ice.pruning.base import Pruner, magnitudes
from thin_ice.sparsity.channel_budgets import kept_channels
from thin_ice.sparsity.channels import ChannelGroup, channel_groups, group_masks, row_norms
from thin_ice.sparsity.factors import FactorPair, MixedRows
from thin_ice.sparsity.masks import ALLOCATIONS, Masks
from thin_ice.sparsity.parametrizations import fix_masks, put_masks
from thin_ice.sparsity.prunable import prunable_modules, prunable_weights
from thin_ice.training.setting import Setting


@dataclass(frozen=True)
class TwinRep:
    """Weights as products of two factors, pruned once during training."""

    prune_at: float = 0.1  # share of training
    allocation: Literal["global", "layer"] = "global"  # of the budget
    layers: Literal["all", "convolutions"] = "all"  # which layers may be pruned

    ranges: ClassVar[dict] = {"prune_at": [0, 1]}
    pipeline: ClassVar[str] = "during"
    criterion: ClassVar[str] = "magnitude of a product of two trained factors, once"
    paper: ClassVar[str] = "Li et al., AAAI 2023"
    units: ClassVar[tuple[str, ...]] = ("weight", "filter")
    claimed: ClassVar[str] = "twinrep_pgd20"
    train_sparse_plan: ClassVar[dict] = {
        "epochs": 100,
        "lr": 0.1,
        "schedule": "step",
        "milestones": [0.7, 0.85],
        "weight_decay": 0.0002,
    }

    def pruner(self, sparsity: float, unit: str = "weight") -> Pruner:
        kind = TwinRepFilterPruner if unit == "filter" else TwinRepPruner
        return kind(self, sparsity)


class TwinRepPruner(Pruner):
    """Holds the masks once they are chosen, by the name of a weight or of a group of channels."""

    factors: type[nn.Module] = FactorPair

    def __init__(self, options: TwinRep, sparsity: float) -> None:
        self.options, self.sparsity = options, sparsity
        self.kept: Masks = {}

    def attach(self, model: nn.Module, setting: Setting) -> None:
        whole = self._whole(model, setting)
        for module in prunable_modules(model, self.options.layers).values():
            parametrize.register_parametrization(module, "weight", self.factors())
        fix_masks(model, whole)

    def _whole(self, model: nn.Module, setting: Setting) -> Masks:
        """Masks that keep everything, of each parameter that is pruned."""
        weights = prunable_weights(model, self.options.layers)
        return {name: torch.ones_like(w, dtype=torch.bool) for name, w in weights.items()}

    def before_epoch(self, model: nn.Module, epoch: int, epochs: int) -> None:
        if not self.kept and epoch >= min(round(self.options.prune_at * epochs), epochs - 1):
            self._prune(model)

    @torch.no_grad()
    def _prune(self, model: nn.Module) -> None:
        self.kept = self._choose(model)
        put_masks(model, self._masks(model))

    def _choose(self, model: nn.Module) -> Masks:
        scores = magnitudes(model, self.options.layers)
        return ALLOCATIONS[self.options.allocation](scores, self.sparsity)

    def _masks(self, model: nn.Module) -> Masks:
        """By parameter name, of all that is pruned."""
        return self.kept

    @property
    def eligible(self) -> bool:
        return bool(self.kept)

    def finish(self, model: nn.Module) -> Masks:
        if not self.kept:
            self._prune(model)
        return self._masks(model)

    def state(self) -> dict[str, Tensor]:
        return self.kept

    def restore(self, state: dict[str, Tensor]) -> None:
        self.kept = dict(state)


class TwinRepFilterPruner(TwinRepPruner):
    """Whole channels, by the norm of the rows that write them."""

    factors = MixedRows

    def __init__(self, options: TwinRep, sparsity: float) -> None:
        super().__init__(options, sparsity)
        self.groups: list[ChannelGroup] = []

    def _whole(self, model: nn.Module, setting: Setting) -> Masks:
        self.groups = channel_groups(model, setting.example, self.options.layers)
        return group_masks(model, self.groups, {})

    def _choose(self, model: nn.Module) -> Masks:
        norms = {group.name: row_norms(group, model, order=2) for group in self.groups}
        if self.options.allocation == "global":
            norms = {name: norm / norm.mean() for name, norm in norms.items()}
        return kept_channels(norms, self.sparsity, self.options.allocation)

    def _masks(self, model: nn.Module) -> Masks:
        return group_masks(model, self.groups, self.kept)

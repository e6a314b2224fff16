"""Norms of filters: structured magnitude pruning (Li, Kadav, Durdanovic, Samet, Graf, ICLR 2017).

Of each group of channels that stand or fall together those of largest norm stay: the norm of the
weights that write a channel (``unit: filter``, the paper's) or of those that read it (``channel``),
in all layers of the group together, by ``norm``. ``layer``: the same share of each group;
``global``: one threshold for norms divided by their group's mean, and each group keeps its
largest.
Published: the L1 norm (it reports that L2 does as well), per layer, with rates set by hand from
each layer's sensitivity, and after pruning 20 epochs (CIFAR-10) at lr 0.001.
Deviations: the rate is the same everywhere; fine-tuning is that of LWM here, as robust accuracy
comes back more slowly; channels tied by a shortcut are judged by all layers that write them, where
the paper has the shortcut's own layer decide.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from thin_ice.pruning.base import Pruner
from thin_ice.sparsity.channel_budgets import kept_channels
from thin_ice.sparsity.channels import (
    ChannelGroup,
    channel_groups,
    column_norms,
    group_masks,
    row_norms,
)
from thin_ice.sparsity.masks import Masks
from thin_ice.sparsity.parametrizations import fix_masks
from thin_ice.training.setting import Setting

ORDERS = {"l1": 1, "l2": 2}
NORMS = {"filter": row_norms, "channel": column_norms}


@dataclass(frozen=True)
class FilterNorm:
    """Channels of least norm go, per group or global."""

    norm: Literal["l1", "l2"] = "l1"  # of a channel's weights
    allocation: Literal["layer", "global"] = "layer"  # of the budget
    layers: Literal["all", "convolutions"] = "all"  # which layers' outputs may be pruned

    pipeline: ClassVar[str] = "after"
    criterion: ClassVar[str] = "L1 or L2 norm"
    paper: ClassVar[str] = "Li et al., ICLR 2017"
    units: ClassVar[tuple[str, ...]] = ("filter", "channel")
    claimed: ClassVar[str] = "hydra_pgd10"
    prune_plan: ClassVar[dict] = {"epochs": 0}
    finetune_plan: ClassVar[dict] = {"epochs": 100, "lr": 0.01, "schedule": "cosine_per_epoch"}

    def pruner(self, sparsity: float, unit: str = "filter") -> Pruner:
        return FilterNormPruner(self, sparsity, unit)


class FilterNormPruner(Pruner):
    """Masks by the norms of the dense network's weights."""

    def __init__(self, options: FilterNorm, sparsity: float, unit: str) -> None:
        self.options, self.sparsity, self.unit = options, sparsity, unit
        self.groups: list[ChannelGroup] = []

    def attach(self, model: nn.Module, setting: Setting) -> None:
        self.groups = channel_groups(model, setting.example, self.options.layers)

    def finish(self, model: nn.Module) -> Masks:
        scores = {group.name: self._score(group, model) for group in self.groups}
        kept = kept_channels(scores, self.sparsity, self.options.allocation)
        masks = group_masks(model, self.groups, kept)
        fix_masks(model, masks)
        return masks

    def _score(self, group: ChannelGroup, model: nn.Module) -> Tensor:
        norms = NORMS[self.unit](group, model, ORDERS[self.options.norm]).detach()
        return norms / norms.mean() if self.options.allocation == "global" else norms

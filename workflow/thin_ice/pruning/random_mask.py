"""Random pruning: the baseline that any method must beat.

Weights, or whole channels (``unit: filter``), are drawn at random, the same share in every layer.
Another ``draw`` and another seed of the study draw others.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from thin_ice.pruning.base import Pruner
from thin_ice.randomness import generator
from thin_ice.sparsity.channels import ChannelGroup, channel_groups, group_masks
from thin_ice.sparsity.masks import Masks, layerwise_masks
from thin_ice.sparsity.parametrizations import fix_masks
from thin_ice.sparsity.prunable import prunable_weights
from thin_ice.training.setting import Setting


@dataclass(frozen=True)
class RandomMask:
    """Keeps weights or channels drawn at random, per layer."""

    draw: int = 0  # which draw
    layers: Literal["all", "convolutions"] = "all"  # which layers may be pruned

    pipeline: ClassVar[str] = "after"
    criterion: ClassVar[str] = "at random"
    paper: ClassVar[str] = "baseline"
    units: ClassVar[tuple[str, ...]] = ("weight", "filter")
    claimed: ClassVar[str] = "hydra_pgd10"
    prune_plan: ClassVar[dict] = {"epochs": 0}
    finetune_plan: ClassVar[dict] = {"epochs": 100, "lr": 0.01, "schedule": "cosine_per_epoch"}

    def pruner(self, sparsity: float, unit: str = "weight") -> Pruner:
        return RandomMaskPruner(self, sparsity, unit)


class RandomMaskPruner(Pruner):
    """Draws once, when the network is to be pruned."""

    def __init__(self, options: RandomMask, sparsity: float, unit: str) -> None:
        self.options, self.sparsity, self.unit = options, sparsity, unit
        self.stream: tuple = ()
        self.groups: list[ChannelGroup] = []

    def attach(self, model: nn.Module, setting: Setting) -> None:
        self.stream = setting.stream
        if self.unit == "filter":
            self.groups = channel_groups(model, setting.example, self.options.layers)

    def finish(self, model: nn.Module) -> Masks:
        if self.unit == "filter":
            channels = {group.name: self._draw(group.name, (group.size,)) for group in self.groups}
            masks = group_masks(model, self.groups, layerwise_masks(channels, self.sparsity))
        else:
            weights = prunable_weights(model, self.options.layers)
            scores = {name: self._draw(name, w.shape).to(w.device) for name, w in weights.items()}
            masks = layerwise_masks(scores, self.sparsity)
        fix_masks(model, masks)
        return masks

    def _draw(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """Scores on the CPU, so that the draw is the same on every device."""
        return torch.rand(shape, generator=generator("cpu", *self.stream, self.options.draw, name))

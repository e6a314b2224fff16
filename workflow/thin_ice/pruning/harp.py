"""HARP (Zhao & Wressnegger, "Holistic Adversarially Robust Pruning", ICLR 2023).

HYDRA's scores, and beside them the share of each layer that is kept is learned. Layer l has a rate
k_l = k_min + (1 - k_min) sigmoid(kappa_l), k_min = alpha k with k the target; its mask keeps the
k_l n_l largest |s|. The mask's gradient passes straight through to |s|, and its sum to k_l. The
loss is the run's own plus gamma L_hw,

    weights:   L_hw = max(sum_l n_l k_l / (k sum_l n_l) - 1, 0),
    channels:  L_hw = max(sum_l F_l k_in(l) k_out(l) / F - 1, 0),

F_l the multiplications of layer l, k_in and k_out the rates of the channels that it reads and
writes, F what the network would cost with the share k of the channels everywhere. gamma grows by
gamma_0 an epoch until at the end of an epoch L_hw rounds to 0.0000; then it stands still, and only
from then on may an epoch be the best. While pruning, scores, kappa and batch norm train (weight
decay on all of them); weights and biases stand still. Fine-tuning starts from the best epoch.
Published: PGD adversarial training, 20 epochs, lr 0.1, then 100 epochs of fine-tuning, lr 0.01,
weight decay 5e-4; cosine rates set once an epoch; gamma_0 0.01 and all k_l 0.1 at first for a
target of 0.01 (``initial_rate``; null begins at the target).

What ``sparsity`` means: for weights, the pruned share of all prunable weights together. For
channels it names the budget: the multiplications of a network in which that share of channels is
gone from every group, as the authors define their target.

Deviations: at the end the rates are scaled by one factor, and rounded, such that the budget is
used up: to the last weight, or until no channel more fits in. No layer is left empty. gamma follows
the share of the stage that is done, so that it has grown as far after a shorter one. Where the
target lies above ``initial_rate``, the rates begin at the target: L_hw does not raise them.
Channels that are tied by a shortcut have one rate and one mask, which is what lets them be removed;
the authors tie the rates of a block's shortcut and first convolution only, and their target also
thins out the image's channels and the classes. While pruning, a group keeps k_l of its channels
rounded up; theirs is rounded to the nearest number, which may be none. The released trainer's extra
forward pass on clean images, for logging, which moves batch norm's statistics, is not reproduced.
On a network of some ten thousand weights lr 0.1 is too much: a layer's rate can jump to 1, where
the sigmoid is flat, and stay; with half of it none did (digits, three seeds).
Faults of the released code, as options: ``export: uniform`` cuts every layer at the target rate and
not at its own, as its dense checkpoints are; ``channel_scores: reshaped`` sums |W| over blocks of
the flat weight (the reshape of (out, in, ...) to (in, -1)) and not over a channel's column.
"""

import logging
import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from thin_ice.pruning.base import Pruner
from thin_ice.pruning.scores import TINY, freeze_all_but_norms, scaled_scores
from thin_ice.sparsity.channels import COLUMNS, ChannelGroup, channel_groups, group_masks
from thin_ice.sparsity.costs import (
    Term,
    affordable_counts,
    channel_terms,
    cost,
    hardware_loss,
    weight_terms,
)
from thin_ice.sparsity.learned_rates import ColumnMask, LearnedRate, WeightMask
from thin_ice.sparsity.masks import Masks, kept_count, top_k_mask
from thin_ice.sparsity.parametrizations import discard, fix_masks
from thin_ice.sparsity.prunable import prunable_modules
from thin_ice.training.setting import Setting

log = logging.getLogger("thin_ice")

PUBLISHED_EPOCHS = 20  # of pruning, after which gamma has grown to 20 gamma_0
REACHED = 4  # decimals to which the hardware loss is 0


@dataclass(frozen=True)
class Harp:
    """Learned scores and learned keep rates under one budget."""

    gamma: float = 0.01  # weight of the hardware loss: what it grows by in a published epoch
    alpha: float = 0.1  # the least keep rate of a layer, as a share of the target
    initial_rate: float | None = 0.1  # of every layer, if the target is below; null: the target
    export: Literal["learned", "uniform"] = "learned"  # rates of the masks; uniform: as released
    channel_scores: Literal["transposed", "reshaped"] = "transposed"  # at first; or as released
    layers: Literal["all", "convolutions"] = "all"  # which layers may be pruned

    limits: ClassVar[dict] = {"gamma": [0, None], "alpha": [0, 1], "initial_rate": [0, 1]}
    pipeline: ClassVar[str] = "after"
    criterion: ClassVar[str] = "learned scores and learned keep rates per layer"
    paper: ClassVar[str] = "Zhao & Wressnegger, ICLR 2023"
    units: ClassVar[tuple[str, ...]] = ("weight", "channel")
    claimed: ClassVar[str] = "harp_pgd10"
    prune_plan: ClassVar[dict] = {
        "epochs": 20,
        "lr": 0.1,
        "weight_decay": 0.0005,
        "schedule": "cosine_per_epoch",
    }
    finetune_plan: ClassVar[dict] = {
        "epochs": 100,
        "lr": 0.01,
        "weight_decay": 0.0005,
        "schedule": "cosine_per_epoch",
    }

    def pruner(self, sparsity: float, unit: str = "weight") -> Pruner:
        return HarpPruner(self, sparsity, unit)


def gamma_at(gamma: float, epoch: int, epochs: int) -> float:
    """The hardware loss's weight in epoch ``epoch`` (0-based) of a stage of ``epochs``."""
    return gamma * PUBLISHED_EPOCHS * (epoch + 1) / epochs


def column_scores(weight: Tensor, index: Tensor) -> Tensor:
    """sqrt(6) sum|W_c| / max over channels, W_c the columns of channel c: a score a channel is a
    score tensor of fan-in 1. ``index``: (channels, n), the columns of each. Float (channels,).
    """
    sums = weight.abs().transpose(0, COLUMNS)[index.to(weight.device)].flatten(1).sum(1)
    return _at_most_sqrt6(sums)


def reshaped_scores(weight: Tensor, channels: int) -> Tensor:
    """The released code's: its sums go over consecutive parts of the flat weight."""
    return _at_most_sqrt6(weight.abs().reshape(channels, -1).sum(1))


def _at_most_sqrt6(sums: Tensor) -> Tensor:
    return math.sqrt(6) * sums / sums.max().clamp_min(TINY)


class HarpPruner(Pruner):
    """Holds, by the name of each layer or group of channels, its scores and rate, which are
    parameters of the network while it is pruned; and the weight of the hardware loss.
    """

    def __init__(self, options: Harp, sparsity: float, unit: str) -> None:
        self.options, self.sparsity, self.unit = options, sparsity, unit
        self.parts: dict[str, LearnedRate] = {}
        self.groups: list[ChannelGroup] = []
        self.terms: list[Term] = []
        self.gamma, self.reached = 0.0, False

    def attach(self, model: nn.Module, setting: Setting) -> None:
        freeze_all_but_norms(model)
        if self.unit == "channel":
            self._attach_to_channels(model, setting.example)
        else:
            self._attach_to_weights(model)

    def _attach_to_weights(self, model: nn.Module) -> None:
        for name, module in prunable_modules(model, self.options.layers).items():
            self.parts[name] = self._part(scaled_scores(module.weight.detach()))
            parametrize.register_parametrization(module, "weight", WeightMask(self.parts[name]))
        self.terms = weight_terms(self.sizes)

    def _attach_to_channels(self, model: nn.Module, example: Tensor) -> None:
        self.groups = channel_groups(model, example, self.options.layers)
        self.terms = channel_terms(model, example, self.groups)
        for group in self.groups:
            part = self.parts[group.name] = self._part(self._channel_scores(model, group))
            for side in group.consumers:
                module, mask = model.get_submodule(side.module), ColumnMask(part, side)
                parametrize.register_parametrization(module, "weight", mask)

    def _channel_scores(self, model: nn.Module, group: ChannelGroup) -> Tensor:
        """The mean over the layers that read the channels."""
        scores = []
        for side in group.consumers:
            weight = model.get_submodule(side.module).weight.detach()
            if self.options.channel_scores == "reshaped":
                scores.append(reshaped_scores(weight, group.size))
            else:
                scores.append(column_scores(weight, side.index))
        return torch.stack(scores).mean(0)

    def _part(self, scores: Tensor) -> LearnedRate:
        target = 1 - self.sparsity
        rate = max(self.options.initial_rate or target, target)
        return LearnedRate(scores, rate, self.options.alpha * target)

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Weights or channels by the name of the part."""
        return {name: part.scores.numel() for name, part in self.parts.items()}

    @cached_property
    def uniform(self) -> dict[str, int]:
        """Counts at the target rate everywhere."""
        return {name: kept_count(size, self.sparsity) for name, size in self.sizes.items()}

    @cached_property
    def target(self) -> float:
        """The budget, in the unit of the terms."""
        if self.unit == "weight":
            return kept_count(sum(self.sizes.values()), self.sparsity)
        return cost(self.terms, {name: self.uniform[name] / n for name, n in self.sizes.items()})

    def hardware_loss(self) -> Tensor:
        """L_hw of the present rates, 0-dim."""
        rates = {name: part.rate() for name, part in self.parts.items()}
        return hardware_loss(self.terms, rates, self.target)

    def before_epoch(self, model: nn.Module, epoch: int, epochs: int) -> None:
        if not self.reached:
            self.gamma = gamma_at(self.options.gamma, epoch, epochs)

    def penalty(self, model: nn.Module) -> Tensor:
        return self.gamma * self.hardware_loss()

    def after_epoch(self, model: nn.Module, epoch: int) -> None:
        if not self.reached:
            self.reached = round(float(self.hardware_loss().detach()), REACHED) == 0

    @property
    def eligible(self) -> bool:
        return self.reached

    def finish(self, model: nn.Module) -> Masks:
        counts = self.uniform if self.options.export == "uniform" else self._counts()
        kept = {
            name: top_k_mask(part.scores.detach().abs(), counts[name])
            for name, part in self.parts.items()
        }
        discard(model)
        masks = kept if self.unit == "weight" else group_masks(model, self.groups, kept)
        fix_masks(model, masks)
        return masks

    def _counts(self) -> dict[str, int]:
        """How many of each part stay: the learned rates, at exactly the budget."""
        rates = {name: float(part.rate().detach()) for name, part in self.parts.items()}
        excess = float(cost(self.terms, rates)) / self.target
        if excess > 1 and round(excess - 1, REACHED):
            log.warning("HARP's rates cost %.4g times the budget and are scaled down", excess)
        return affordable_counts(self.terms, self.sizes, rates, self.target)

    def state(self) -> dict[str, Tensor]:
        return {
            "gamma": torch.tensor(self.gamma, dtype=torch.float64),
            "reached": torch.tensor(self.reached),
        }

    def restore(self, state: dict[str, Tensor]) -> None:
        self.gamma, self.reached = float(state["gamma"]), bool(state["reached"])

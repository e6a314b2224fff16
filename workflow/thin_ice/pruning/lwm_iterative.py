"""Iterative magnitude pruning of robust networks (Sehwag, Wang, Mittal, Jana 2019).

Prune a step, fine-tune, prune further: the pruning stage's epochs are divided among ``steps``;
each begins by removing the weights of least magnitude among those left, and trains the rest, with
the objective that trained the network, under the mask. Masks are nested and a pruned weight stays
at zero. The sparsity after step k of n on the way to s (``geometric``: the same share of what is
left at each step):

    geometric  1 - (1 - s)^(k/n)
    cubic      s (1 - (1 - k/n)^3)          (Zhu and Gupta 2017)

By ``filter`` it is the channels of least L1 norm that go, those of shortcuts together, as in
`thin_ice.pruning.filter_norm`. ``global`` compares norms divided by the mean of those that are left
in their group, and each group keeps its largest.

The paper prunes weights and filters. Its text gives neither the steps nor the epochs nor how
filters are compared (only its abstract was at hand), so they are ours: 5 steps in 100 epochs at the
learning rate with which HYDRA's authors fine-tune, then fine-tuning as for LWM. With fewer epochs
than steps there is a step an epoch; without any it is one-shot.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from thin_ice.pruning.base import Pruner, magnitudes
from thin_ice.sparsity.channel_budgets import kept_channels
from thin_ice.sparsity.channels import ChannelGroup, channel_groups, group_masks, row_norms
from thin_ice.sparsity.masks import ALLOCATIONS, Masks
from thin_ice.sparsity.parametrizations import fix_masks, put_masks
from thin_ice.sparsity.prunable import prunable_weights
from thin_ice.training.setting import Setting


@dataclass(frozen=True)
class LwmIterative:
    """Magnitude pruning in steps with training in between, per layer or global."""

    steps: int = 5  # of pruning
    schedule: Literal["geometric", "cubic"] = "geometric"  # of the sparsities
    allocation: Literal["layer", "global"] = "layer"  # of the budget
    layers: Literal["all", "convolutions"] = "all"  # which layers may be pruned

    limits: ClassVar[dict] = {"steps": [0, None]}
    pipeline: ClassVar[str] = "after"
    criterion: ClassVar[str] = "magnitude, in steps with training in between"
    paper: ClassVar[str] = "Sehwag et al. 2019"
    units: ClassVar[tuple[str, ...]] = ("weight", "filter")
    claimed: ClassVar[str] = "hydra_pgd10"
    prune_plan: ClassVar[dict] = {
        "epochs": 100,
        "lr": 0.01,
        "schedule": "constant",
        "select": "last",
    }
    finetune_plan: ClassVar[dict] = {"epochs": 100, "lr": 0.01, "schedule": "cosine_per_epoch"}

    def pruner(self, sparsity: float, unit: str = "weight") -> Pruner:
        kind = LwmIterativeFilterPruner if unit == "filter" else LwmIterativePruner
        return kind(self, sparsity)


def geometric(sparsity: float, done: float) -> float:
    """The sparsity when the share ``done`` of the steps is done: each takes as large a part of what
    is left.
    """
    return 1 - (1 - sparsity) ** done


def cubic(sparsity: float, done: float) -> float:
    """As `geometric`, quickly at first, where most weights are superfluous, then slowly."""
    return sparsity * (1 - (1 - done) ** 3)


SCHEDULES = {"geometric": geometric, "cubic": cubic}


def step_sparsity(schedule: str, sparsity: float, step: int, steps: int) -> float:
    """The sparsity after ``step`` of ``steps``; exactly the target after the last."""
    return sparsity if step == steps else SCHEDULES[schedule](sparsity, step / steps)


class LwmIterativePruner(Pruner):
    """Holds what the last step kept, by the name of a weight or of a group of channels; each
    parameter that is pruned carries its mask as a `FixedMask`.
    """

    def __init__(self, options: LwmIterative, sparsity: float) -> None:
        self.options, self.sparsity = options, sparsity
        self.kept: Masks = {}

    def attach(self, model: nn.Module, setting: Setting) -> None:
        fix_masks(model, self._whole(model, setting))

    def _whole(self, model: nn.Module, setting: Setting) -> Masks:
        """Masks that keep everything, of each parameter that is pruned."""
        weights = prunable_weights(model, self.options.layers)
        return {name: torch.ones_like(w, dtype=torch.bool) for name, w in weights.items()}

    def before_epoch(self, model: nn.Module, epoch: int, epochs: int) -> None:
        steps = min(self.options.steps, epochs)
        step = steps_begun(epoch, epochs, steps)
        if step > steps_begun(epoch - 1, epochs, steps):
            self._prune(model, step_sparsity(self.options.schedule, self.sparsity, step, steps))

    def _prune(self, model: nn.Module, sparsity: float) -> None:
        """Keep the largest magnitudes, none of which was pruned before."""
        scores = self._scores(model)
        for name, kept in self.kept.items():
            scores[name] = scores[name].masked_fill(~kept, -1.0)
        self.kept = self._keep(scores, sparsity)
        put_masks(model, self._masks(model))

    def _scores(self, model: nn.Module) -> dict[str, Tensor]:
        return magnitudes(model, self.options.layers)

    def _keep(self, scores: dict[str, Tensor], sparsity: float) -> Masks:
        return ALLOCATIONS[self.options.allocation](scores, sparsity)

    def _masks(self, model: nn.Module) -> Masks:
        """By parameter name, of all that is pruned."""
        return self.kept

    def finish(self, model: nn.Module) -> Masks:
        if not self.kept:
            self._prune(model, self.sparsity)
        put_masks(model, self._masks(model))  # an earlier epoch's network brought its own
        return self._masks(model)

    def state(self) -> dict[str, Tensor]:
        return self.kept

    def restore(self, state: dict[str, Tensor]) -> None:
        self.kept = dict(state)


class LwmIterativeFilterPruner(LwmIterativePruner):
    """Whole channels; the score of one is the norm of the weights that write it."""

    def __init__(self, options: LwmIterative, sparsity: float) -> None:
        super().__init__(options, sparsity)
        self.groups: list[ChannelGroup] = []

    def _whole(self, model: nn.Module, setting: Setting) -> Masks:
        self.groups = channel_groups(model, setting.example, self.options.layers)
        return group_masks(model, self.groups, {})

    def _scores(self, model: nn.Module) -> dict[str, Tensor]:
        norms = {one.name: row_norms(one, model, order=1).detach() for one in self.groups}
        if self.options.allocation == "layer":
            return norms
        left = {name: norm[self.kept[name]] if self.kept else norm for name, norm in norms.items()}
        return {name: norm / left[name].mean() for name, norm in norms.items()}

    def _keep(self, scores: dict[str, Tensor], sparsity: float) -> Masks:
        return kept_channels(scores, sparsity, self.options.allocation)

    def _masks(self, model: nn.Module) -> Masks:
        return group_masks(model, self.groups, self.kept)


def steps_begun(epoch: int, epochs: int, steps: int) -> int:
    """How many of the steps have begun when epoch ``epoch`` (0-based) does; none before the first.

    Equal shares of the epochs, rounded down, for all but the last step, which has the rest.
    """
    return min(epoch // (epochs // steps) + 1, steps) if epoch >= 0 else 0

"""Iterative magnitude pruning of robust networks (Sehwag, Wang, Mittal, Jana 2019).

Prune a step, fine-tune, prune further: the pruning stage's epochs are divided among ``steps``;
each begins by removing the weights of least magnitude among those left, and trains the rest, with
the objective that trained the network, under the mask. Masks are nested and a pruned weight stays
at zero. The sparsity after step k of n on the way to s (``geometric``: the same share of what is
left at each step):

    geometric  1 - (1 - s)^(k/n)
    cubic      s (1 - (1 - k/n)^3)          (Zhu and Gupta 2017)

The paper's text gives neither the steps nor the epochs (only its abstract was at hand), so they are
ours: 5 steps in 100 epochs at the learning rate with which HYDRA's authors fine-tune, then
fine-tuning as for LWM. With fewer epochs than steps there is a step an epoch; without any it is
one-shot LWM.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from thin_ice.pruning.base import Pruner, detached
from thin_ice.sparsity.masks import ALLOCATIONS, Masks
from thin_ice.sparsity.parametrizations import FixedMask
from thin_ice.sparsity.prunable import prunable_modules, prunable_weights
from thin_ice.training.setting import Setting


@dataclass(frozen=True)
class LwmIterative:
    """Magnitude pruning in steps with training in between, per layer or global."""

    steps: int = 5  # of pruning
    schedule: Literal["geometric", "cubic"] = "geometric"  # of the sparsities
    allocation: Literal["layer", "global"] = "layer"  # of the budget
    layers: Literal["all", "convolutions"] = "all"  # which layers may be pruned

    limits: ClassVar[dict] = {"steps": [0, None]}
    units: ClassVar[tuple[str, ...]] = ("weight",)
    claimed: ClassVar[str] = "hydra_pgd10"
    prune_plan: ClassVar[dict] = {
        "epochs": 100,
        "lr": 0.01,
        "schedule": "constant",
        "select": "last",
    }
    finetune_plan: ClassVar[dict] = {"epochs": 100, "lr": 0.01, "schedule": "cosine_per_epoch"}

    def pruner(self, sparsity: float, unit: str = "weight") -> Pruner:
        return LwmIterativePruner(self, sparsity)


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
    """Holds the masks of the last step; each weight carries its own as a `FixedMask`."""

    def __init__(self, options: LwmIterative, sparsity: float) -> None:
        self.options, self.sparsity = options, sparsity
        self.masks: Masks = {}

    def attach(self, model: nn.Module, setting: Setting) -> None:
        for module in prunable_modules(model, self.options.layers).values():
            everything = torch.ones_like(module.weight, dtype=torch.bool)
            parametrize.register_parametrization(module, "weight", FixedMask(everything))

    def before_epoch(self, model: nn.Module, epoch: int, epochs: int) -> None:
        steps = min(self.options.steps, epochs)
        step = steps_begun(epoch, epochs, steps)
        if step > steps_begun(epoch - 1, epochs, steps):
            self._prune(model, step_sparsity(self.options.schedule, self.sparsity, step, steps))

    def _prune(self, model: nn.Module, sparsity: float) -> None:
        """Keep the largest magnitudes, none of which was pruned before."""
        weights = detached(prunable_weights(model, self.options.layers))
        scores = {name: weight.abs() for name, weight in weights.items()}
        for name, mask in self.masks.items():
            scores[name] = scores[name].masked_fill(~mask, -1.0)
        self.masks = ALLOCATIONS[self.options.allocation](scores, sparsity)
        self._put_on(model)

    def _put_on(self, model: nn.Module) -> None:
        for name, module in prunable_modules(model, self.options.layers).items():
            module.parametrizations.weight[0].mask.copy_(self.masks[name])

    def finish(self, model: nn.Module) -> Masks:
        if not self.masks:
            self._prune(model, self.sparsity)
        self._put_on(model)  # an earlier epoch's network brought its own
        return self.masks

    def state(self) -> dict[str, Tensor]:
        return self.masks

    def restore(self, state: dict[str, Tensor]) -> None:
        self.masks = dict(state)


def steps_begun(epoch: int, epochs: int, steps: int) -> int:
    """How many of the steps have begun when epoch ``epoch`` (0-based) does; none before the first.

    Equal shares of the epochs, rounded down, for all but the last step, which has the rest.
    """
    return min(epoch // (epochs // steps) + 1, steps) if epoch >= 0 else 0

"""Iterative magnitude pruning with rewinding, adversarially (Cosentino et al. 2019, Wang et al.
2020, after Frankle and Carbin, ICLR 2019).

Train from initialisation, prune the weights of least magnitude among those left, go back to the
initial weights of the others, and again. After round k of n on the way to sparsity s,
1 - (1 - s)^(k/n) is gone, the same share of what was left at each round. Masks are nested. The last
mask, on the network as it was initialised, is then trained once more.

A round is a cycle of the plan of the stage `mask` (``cycles``): the rate's schedule begins again
with it, and the optimiser forgets. With fewer epochs than cycles there is a round an epoch. All
rounds train with the objective of the run.
The papers' numbers of rounds and epochs are not in what we have; here 5 rounds share 500 epochs.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from thin_ice.pruning.base import Pruner
from thin_ice.pruning.lwm_iterative import LwmIterativePruner, step_sparsity
from thin_ice.pruning.rewind import initial_state, rewind
from thin_ice.sparsity.masks import Masks
from thin_ice.training.setting import Setting


@dataclass(frozen=True)
class Imp:
    """Magnitude pruning in rounds of training, each from the initial weights."""

    allocation: Literal["global", "layer"] = "global"  # of the budget
    layers: Literal["all", "convolutions"] = "all"  # which layers may be pruned

    pipeline: ClassVar[str] = "before"
    criterion: ClassVar[str] = "magnitude, in rounds of adversarial training, each rewound"
    paper: ClassVar[str] = "Cosentino et al. 2019; Wang et al. 2020"
    units: ClassVar[tuple[str, ...]] = ("weight",)
    claimed: ClassVar[str] = "lottery_pgd10"
    mask_plan: ClassVar[dict] = {
        "epochs": 500,
        "lr": 0.1,
        "schedule": "step",
        "cycles": 5,
        "select": "last",
    }
    train_masked_plan: ClassVar[dict] = {"epochs": 100, "lr": 0.1, "schedule": "step"}

    def pruner(self, sparsity: float, unit: str = "weight") -> Pruner:
        return ImpPruner(self, sparsity)


class ImpPruner(LwmIterativePruner):
    """Prunes after each round instead of before it, and rewinds."""

    schedule = "geometric"

    def __init__(self, options: Imp, sparsity: float) -> None:
        super().__init__(options, sparsity)
        self.initial: dict[str, Tensor] = {}
        self.optimizer: torch.optim.Optimizer | None = None
        self.rounds = self.round = 0

    def attach(self, model: nn.Module, setting: Setting) -> None:
        self.initial = initial_state(model)
        self.rounds = min(setting.plan.cycles, max(setting.plan.epochs, 1))
        super().attach(model, setting)

    def before_training(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer

    def before_epoch(self, model: nn.Module, epoch: int, epochs: int) -> None:
        before = self.round
        self.round = epoch * self.rounds // epochs
        if self.round > before:
            self._prune_and_rewind(model, self.round)
            self.optimizer.state.clear()

    def _prune_and_rewind(self, model: nn.Module, rounds_done: int) -> None:
        self._prune(model, step_sparsity(self.schedule, self.sparsity, rounds_done, self.rounds))
        rewind(model, self.initial)

    @property
    def eligible(self) -> bool:
        """The last round decides."""
        return self.round == self.rounds - 1

    def finish(self, model: nn.Module) -> Masks:
        self._prune_and_rewind(model, self.rounds)
        return self._masks(model)

    def state(self) -> dict[str, Tensor]:
        return super().state() | {ROUND: torch.tensor(self.round)}

    def restore(self, state: dict[str, Tensor]) -> None:
        kept = dict(state)
        self.round = int(kept.pop(ROUND))
        super().restore(kept)


ROUND = "round"  # no weight has that name

"""Heracles (Zhao, Königl, Wressnegger, AutoML 2022): non-uniform rates per layer, found by search.

Not which weights are kept but how many of them in each layer: a search over the layers' rates, all
together within the budget, whose result is handed to HYDRA or to R-ADMM. Everything else is theirs.

Deviations: the paper searches with reinforcement learning (DDPG, as AMC); here the random local
search of `rate_search` does, whose budget the study sets. The released code rewards accuracy on the
test split, here it is the validation split. The plans are those of HYDRA and of R-ADMM; the
released fork of HYDRA trains with PGD-AT, which is the objective's business here.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from thin_ice.pruning.base import Pruner
from thin_ice.pruning.hydra import Hydra
from thin_ice.pruning.radmm import Radmm
from thin_ice.pruning.rate_search import RateSearch
from thin_ice.sparsity.masks import Masks
from thin_ice.training.setting import Setting

BASE = "base."  # before the names in the state of the method that gets the rates


@dataclass(frozen=True)
class HeraclesHydra:
    """Searched rates, handed to HYDRA."""

    trials: int = 30  # of the search; 0 leaves the rates uniform
    spread: float = 0.5  # of a trial's densities around the best ones, as a logarithm
    tuning: float = 0.25  # epochs of training that a trial's network gets
    tuning_lr: float = 0.01  # their learning rate
    layers: Literal["all", "convolutions"] = "all"  # which layers may be pruned

    limits: ClassVar[dict] = {"trials": [-1, None], "tuning": [0, None], "tuning_lr": [0, None]}
    units: ClassVar[tuple[str, ...]] = ("weight",)
    claimed: ClassVar[str] = "harp_pgd10"  # the same authors'
    prune_plan: ClassVar[dict] = {
        "epochs": 20,
        "lr": 0.1,
        "schedule": "cosine_per_epoch",
        "select": "last",
    }
    finetune_plan: ClassVar[dict] = {"epochs": 100, "lr": 0.01, "schedule": "cosine_per_epoch"}

    def pruner(self, sparsity: float, unit: str = "weight") -> Pruner:
        base = Hydra(layers=self.layers).pruner(sparsity)
        return HeraclesPruner(_search(self, sparsity), base, self.trials)


@dataclass(frozen=True)
class HeraclesRadmm:
    """Searched rates, handed to R-ADMM."""

    trials: int = 30  # of the search; 0 leaves the rates uniform
    spread: float = 0.5  # of a trial's densities around the best ones, as a logarithm
    tuning: float = 0.25  # epochs of training that a trial's network gets
    tuning_lr: float = 0.01  # their learning rate
    layers: Literal["all", "convolutions"] = "convolutions"  # which layers may be pruned

    limits: ClassVar[dict] = {"trials": [-1, None], "tuning": [0, None], "tuning_lr": [0, None]}
    units: ClassVar[tuple[str, ...]] = ("weight",)
    claimed: ClassVar[str] = "harp_pgd10"  # the same authors'
    prune_plan: ClassVar[dict] = {
        "epochs": 200,
        "lr": 0.01,
        "schedule": "step",
        "milestones": [0.35, 0.7],
        "cycles": 10,
        "select": "last",
    }
    finetune_plan: ClassVar[dict] = {
        "epochs": 200,
        "lr": 0.01,
        "schedule": "step",
        "milestones": [0.4, 0.75],
    }

    def pruner(self, sparsity: float, unit: str = "weight") -> Pruner:
        base = Radmm(layers=self.layers).pruner(sparsity)
        return HeraclesPruner(_search(self, sparsity), base, self.trials)


def _search(options: HeraclesHydra | HeraclesRadmm, sparsity: float) -> RateSearch:
    return RateSearch(sparsity, options.layers, options.spread, options.tuning, options.tuning_lr)


class HeraclesPruner(Pruner):
    """Searches, and then is the pruner that gets the rates."""

    def __init__(self, search: RateSearch, base: Pruner, trials: int) -> None:
        self.search, self.base, self.trials = search, base, trials

    def looks(self, setting: Setting) -> int:
        return self.trials

    def look(self, model: nn.Module, setting: Setting, number: int) -> None:
        self.search.trial(model, setting, number)

    def attach(self, model: nn.Module, setting: Setting) -> None:
        self.base.allot(self.search.best)
        self.base.attach(model, setting)

    def before_epoch(self, model: nn.Module, epoch: int, epochs: int) -> None:
        self.base.before_epoch(model, epoch, epochs)

    def penalty(self, model: nn.Module) -> Tensor | None:
        return self.base.penalty(model)

    def after_step(self, model: nn.Module) -> None:
        self.base.after_step(model)

    def finish(self, model: nn.Module) -> Masks:
        return self.base.finish(model)

    def state(self) -> dict[str, Tensor]:
        base = {f"{BASE}{name}": tensor for name, tensor in self.base.state().items()}
        return self.search.state() | base

    def restore(self, state: dict[str, Tensor]) -> None:
        self.search.restore({k: v for k, v in state.items() if not k.startswith(BASE)})
        self.base.restore({k.removeprefix(BASE): v for k, v in state.items() if k.startswith(BASE)})

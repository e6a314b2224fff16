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
from thin_ice.pruning.delegating import Delegating
from thin_ice.pruning.hydra import Hydra
from thin_ice.pruning.radmm import Radmm
from thin_ice.pruning.rate_search import RateSearch
from thin_ice.training.setting import Setting


@dataclass(frozen=True)
class HeraclesHydra:
    """Searched rates, handed to HYDRA."""

    trials: int = 30  # of the search; 0 leaves the rates uniform
    spread: float = 0.5  # of a trial's densities around the best ones, as a logarithm
    tuning: float = 0.25  # epochs of training that a trial's network gets
    tuning_lr: float = 0.01  # their learning rate
    layers: Literal["all", "convolutions"] = "all"  # which layers may be pruned

    limits: ClassVar[dict] = {"trials": [-1, None], "tuning": [0, None], "tuning_lr": [0, None]}
    pipeline: ClassVar[str] = "after"
    criterion: ClassVar[str] = "rates per layer by search, handed to HYDRA"
    paper: ClassVar[str] = "Zhao et al., AutoML 2022"
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
    pipeline: ClassVar[str] = "after"
    criterion: ClassVar[str] = "rates per layer by search, handed to R-ADMM"
    paper: ClassVar[str] = "Zhao et al., AutoML 2022"
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


class HeraclesPruner(Delegating):
    """Searches, and then is the pruner that gets the rates."""

    def __init__(self, search: RateSearch, base: Pruner, trials: int) -> None:
        super().__init__(base)
        self.search, self.trials = search, trials

    def looks(self, setting: Setting) -> int:
        return self.trials

    def look(self, model: nn.Module, setting: Setting, number: int) -> None:
        self.search.trial(model, setting, number)

    def attach(self, model: nn.Module, setting: Setting) -> None:
        self.base.allot(self.search.best)
        super().attach(model, setting)

    def own_state(self) -> dict[str, Tensor]:
        return self.search.state()

    def restore_own(self, state: dict[str, Tensor]) -> None:
        self.search.restore(state)

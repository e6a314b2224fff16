"""HYDRA (Sehwag, Wang, Mittal, Jana, NeurIPS 2020): pruning as learning of importance scores.

Every weight w of a convolution or linear layer has a score s. In each layer the network computes
with w * 1[|s| among the k largest]; the mask's gradient passes straight through to |s|. While
pruning, weights and biases are frozen, scores and batch norm are trained (with weight decay), with
whatever objective trained the network. Scores start at sqrt(6 / fan_in) * w / max|w| ("scaled"),
so the first mask is magnitude pruning. The stage ends with the last epoch, not the best.
Published: TRADES, 20 epochs of SGD, lr 0.1, then 100 epochs of fine-tuning, lr 0.01; cosine rates
set once an epoch. On CIFAR-10 its authors add as many pseudo-labelled images to every batch as it
has labelled ones (plan.extra: 1); here none are added unless the study has such images.
Deviations: masks are computed once a step instead of once a forward pass, with the same result.
The released trainer's extra forward pass on clean images, for logging, which moves batch norm's
statistics, is not reproduced.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.nn.utils import parametrize

from thin_ice.pruning.base import Pruner
from thin_ice.pruning.scores import freeze_all_but_norms, random_scores, scaled_scores
from thin_ice.sparsity.masks import Masks, kept_count
from thin_ice.sparsity.parametrizations import TopKScore
from thin_ice.sparsity.prunable import prunable_modules
from thin_ice.sparsity.rates import Counts
from thin_ice.training.setting import Setting


@dataclass(frozen=True)
class Hydra:
    """Learned scores with a uniform budget per layer."""

    scores: Literal["scaled", "random"] = "scaled"  # initialisation; random is the paper's ablation
    layers: Literal["all", "convolutions"] = "all"  # which layers may be pruned

    pipeline: ClassVar[str] = "after"
    criterion: ClassVar[str] = "learned scores, uniform budget"
    paper: ClassVar[str] = "Sehwag et al., NeurIPS 2020"
    units: ClassVar[tuple[str, ...]] = ("weight",)
    claimed: ClassVar[str] = "hydra_pgd50"
    prune_plan: ClassVar[dict] = {
        "epochs": 20,
        "lr": 0.1,
        "schedule": "cosine_per_epoch",
        "select": "last",
    }
    finetune_plan: ClassVar[dict] = {"epochs": 100, "lr": 0.01, "schedule": "cosine_per_epoch"}

    def pruner(self, sparsity: float, unit: str = "weight") -> Pruner:
        return HydraPruner(self, sparsity)


class HydraPruner(Pruner):
    """Trains scores and batch norm; everything else is frozen."""

    def __init__(self, options: Hydra, sparsity: float) -> None:
        self.options, self.sparsity = options, sparsity
        self.counts: Counts = {}

    def allot(self, counts: Counts) -> None:
        """Keep so many weights of each layer, instead of the same share of all."""
        self.counts = counts

    def attach(self, model: nn.Module, setting: Setting) -> None:
        freeze_all_but_norms(model)
        for name, module in prunable_modules(model, self.options.layers).items():
            keep = self.counts.get(name, kept_count(module.weight.numel(), self.sparsity))
            initial = self._initial(name, module.weight.detach(), setting)
            scores = TopKScore(initial, keep)
            parametrize.register_parametrization(module, "weight", scores)

    def _initial(self, name: str, weight: Tensor, setting: Setting) -> Tensor:
        if self.options.scores == "scaled":
            return scaled_scores(weight)
        return random_scores(weight, *setting.stream, "scores", name)

    def finish(self, model: nn.Module) -> Masks:
        modules = prunable_modules(model, self.options.layers)
        return {name: m.parametrizations.weight[0].mask() for name, m in modules.items()}

"""LWM, lowest weight magnitude (Han et al. 2015; for robust networks Sehwag et al. 2019).

m = 1 where |w| is among the largest k; nothing is learned while pruning, then the network is
fine-tuned. ``layer``: the same k in every layer (identical to HYDRA's scaled initialisation
without its pruning phase, which is how HYDRA's authors compute LWM); ``global``: one threshold
over all layers. One-shot.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import nn

from thin_ice.pruning.base import Pruner, magnitudes
from thin_ice.sparsity.masks import ALLOCATIONS, Masks
from thin_ice.sparsity.parametrizations import fix_masks


@dataclass(frozen=True)
class Lwm:
    """Magnitude pruning, per layer or global."""

    allocation: Literal["layer", "global"] = "layer"  # of the budget
    layers: Literal["all", "convolutions"] = "all"  # which layers may be pruned

    pipeline: ClassVar[str] = "after"
    criterion: ClassVar[str] = "magnitude, per layer or global, one shot"
    paper: ClassVar[str] = "Han et al. 2015"
    units: ClassVar[tuple[str, ...]] = ("weight",)
    claimed: ClassVar[str] = "hydra_pgd10"
    prune_plan: ClassVar[dict] = {"epochs": 0}
    finetune_plan: ClassVar[dict] = {"epochs": 100, "lr": 0.01, "schedule": "cosine_per_epoch"}

    def pruner(self, sparsity: float, unit: str = "weight") -> Pruner:
        return LwmPruner(self, sparsity)


class LwmPruner(Pruner):
    """Masks by magnitude."""

    def __init__(self, options: Lwm, sparsity: float) -> None:
        self.options, self.sparsity = options, sparsity

    def finish(self, model: nn.Module) -> Masks:
        scores = magnitudes(model, self.options.layers)
        masks = ALLOCATIONS[self.options.allocation](scores, self.sparsity)
        fix_masks(model, masks)
        return masks

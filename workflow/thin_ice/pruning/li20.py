"""Robust lottery tickets by one shot (Li, Wang, Jia et al. 2020, arXiv 2003.05733, "Li20").

A short, cheap adversarial training from initialisation; the weights of largest magnitude are the
ticket; every parameter and running statistic goes back to what it was before; the ticket is trained
adversarially under its mask.
Published (CIFAR-10): FGSM at 8/255 for 10 to 100 epochs at a small rate (VGG-16 0.01, ResNet-18
0.05), one-shot masks of 80 %; then PGD-AT, 10 steps of 2/255, for 100 epochs, the rate rising from
the small one to 0.1 and falling tenfold at 50 and 75 %.
Here the short training takes 40 epochs, the share at which their WRN-34-10 saves half of the time,
at 0.01, with one step of eps from a uniform start (`mask_objective`), masks are global, and the
rate rises from 0 over the first twentieth; the paper at hand does not say otherwise.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from thin_ice.pruning.base import Pruner, magnitudes
from thin_ice.pruning.rewind import initial_state, rewind
from thin_ice.sparsity.masks import ALLOCATIONS, Masks
from thin_ice.sparsity.parametrizations import fix_masks
from thin_ice.training.setting import Setting


@dataclass(frozen=True)
class Li20:
    """A magnitude mask from a short training, put on the network as it was initialised."""

    allocation: Literal["global", "layer"] = "global"  # of the budget
    layers: Literal["all", "convolutions"] = "all"  # which layers may be pruned

    pipeline: ClassVar[str] = "before"
    criterion: ClassVar[str] = "magnitude after a short, cheap adversarial training; rewound"
    paper: ClassVar[str] = "Li et al. 2020"
    units: ClassVar[tuple[str, ...]] = ("weight",)
    claimed: ClassVar[str] = "li20_pgd100"
    mask_plan: ClassVar[dict] = {
        "epochs": 40,
        "lr": 0.01,
        "schedule": "constant",
        "select": "last",
    }
    mask_objective: ClassVar[dict] = {"kind": "pgd_at", "steps": 1, "rel_step": 1.0}
    train_masked_plan: ClassVar[dict] = {
        "epochs": 100,
        "lr": 0.1,
        "schedule": "step",
        "milestones": [0.5, 0.75],
        "warmup": 0.05,
    }

    def pruner(self, sparsity: float, unit: str = "weight") -> Pruner:
        return Li20Pruner(self, sparsity)


class Li20Pruner(Pruner):
    """Remembers how the network began."""

    def __init__(self, options: Li20, sparsity: float) -> None:
        self.options, self.sparsity = options, sparsity
        self.initial: dict[str, Tensor] = {}

    def attach(self, model: nn.Module, setting: Setting) -> None:
        self.initial = initial_state(model)

    def finish(self, model: nn.Module) -> Masks:
        scores = magnitudes(model, self.options.layers)
        masks = ALLOCATIONS[self.options.allocation](scores, self.sparsity)
        rewind(model, self.initial)
        fix_masks(model, masks)
        return masks

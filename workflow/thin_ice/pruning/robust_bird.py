"""Robust Bird: robust early-bird tickets (Chen, Zhang, Wang et al., "Sparsity Winning Twice",
ICLR 2022, after You et al., ICLR 2020).

Train naturally, which is cheap, until the magnitude mask of the convolutions stands still: until
its distance to each of those of the ``window`` epochs before is below ``distance``. The distance of
two masks is the share of weights in which they differ. Then the weights of largest magnitude, of
convolutions and linear layers together, stay with the values that they have, and are trained
adversarially from there.
Published: distance 0.08, window 4, one-shot global masks, 200 epochs of PGD-AT at 0.1, falling
tenfold at epochs 50 and 150; best epoch on validation. How long the natural training may last is
not in what we have; here at most 50 epochs, at the rate and decay of what follows.
As published, the distance does not depend on the sparsity: two masks that each keep 1 % differ in
2 % at most, so at 99 % (and, nearly, at 95 %) the first mask that has a window behind it is taken.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from thin_ice.pruning.base import Pruner, magnitudes
from thin_ice.sparsity.masks import ALLOCATIONS, Masks, global_masks
from thin_ice.sparsity.parametrizations import fix_masks


@dataclass(frozen=True)
class RobustBird:
    """The first magnitude mask of natural training that stands still."""

    distance: float = 0.08  # below which two masks count as the same
    window: int = 4  # epochs before, all of whose masks have to be the same
    allocation: Literal["global", "layer"] = "global"  # of the budget
    layers: Literal["all", "convolutions"] = "all"  # which layers may be pruned

    limits: ClassVar[dict] = {"distance": [0, None], "window": [0, None]}
    pipeline: ClassVar[str] = "before"
    criterion: ClassVar[str] = "magnitude, once natural training no longer moves the mask"
    paper: ClassVar[str] = "Chen et al., ICLR 2022"
    units: ClassVar[tuple[str, ...]] = ("weight",)
    claimed: ClassVar[str] = "flyingbird_pgd20"
    mask_plan: ClassVar[dict] = {
        "epochs": 50,
        "lr": 0.1,
        "schedule": "constant",
        "weight_decay": 0.0005,
        "select": "last",
    }
    mask_objective: ClassVar[dict] = {"kind": "natural"}
    train_masked_plan: ClassVar[dict] = {
        "epochs": 200,
        "lr": 0.1,
        "schedule": "step",
        "milestones": [0.25, 0.75],
        "weight_decay": 0.0005,
    }

    def pruner(self, sparsity: float, unit: str = "weight") -> Pruner:
        return RobustBirdPruner(self, sparsity)


def mask_distance(masks: Masks, others: Masks) -> float:
    """The share of weights in which two sets of masks differ."""
    differing = sum(int((mask != others[name]).sum()) for name, mask in masks.items())
    return differing / sum(mask.numel() for mask in masks.values())


class RobustBirdPruner(Pruner):
    """Holds the masks of the last epochs, the newest last."""

    def __init__(self, options: RobustBird, sparsity: float) -> None:
        self.options, self.sparsity = options, sparsity
        self.recent: list[Masks] = []

    def after_epoch(self, model: nn.Module, epoch: int) -> None:
        masks = global_masks(magnitudes(model, "convolutions"), self.sparsity)
        self.recent = [*self.recent, masks][-self.options.window - 1 :]

    @property
    def finished(self) -> bool:
        """Whether the newest mask is that of each epoch of a whole window before it."""
        if len(self.recent) <= self.options.window:
            return False
        *before, newest = self.recent
        return all(mask_distance(newest, one) < self.options.distance for one in before)

    def finish(self, model: nn.Module) -> Masks:
        scores = magnitudes(model, self.options.layers)
        masks = ALLOCATIONS[self.options.allocation](scores, self.sparsity)
        fix_masks(model, masks)
        return masks

    def state(self) -> dict[str, Tensor]:
        return {
            f"{place}/{name}": mask
            for place, masks in enumerate(self.recent)
            for name, mask in masks.items()
        }

    def restore(self, state: dict[str, Tensor]) -> None:
        found: dict[int, Masks] = {}
        for key, mask in state.items():
            place, _, name = key.partition("/")
            found.setdefault(int(place), {})[name] = mask.to(torch.bool)
        self.recent = [found[place] for place in sorted(found)]

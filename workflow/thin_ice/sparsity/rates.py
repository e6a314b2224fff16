"""Budgets that differ between layers: known allocations, and masks of so many weights each."""

import math
from collections.abc import Mapping

from torch import Tensor

from thin_ice.sparsity.masks import Masks, global_masks, top_k_mask

Counts = dict[str, int]
Densities = dict[str, float]


def erdos_renyi_kernel(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, float]:
    """ERK (Evci et al. 2020): a layer's density in proportion to the sum of its dimensions over
    their product.
    """
    return {name: sum(shape) / math.prod(shape) for name, shape in shapes.items()}


def densities_of(masks: Masks) -> dict[str, float]:
    """Kept shares of masks; of an empty one what a single kept weight would be."""
    return {name: max(int(mask.sum()), 1) / mask.numel() for name, mask in masks.items()}


def magnitude_densities(weights: Mapping[str, Tensor], sparsity: float) -> dict[str, float]:
    """What a single threshold on the magnitudes of all layers leaves of each."""
    return densities_of(global_masks({name: w.abs() for name, w in weights.items()}, sparsity))


def masks_of(scores: Mapping[str, Tensor], counts: Mapping[str, int]) -> Masks:
    """In each layer its count of largest scores."""
    return {name: top_k_mask(score, counts[name]) for name, score in scores.items()}

"""Budgets that differ between layers: known allocations, and masks of so many weights each."""

import math
from collections.abc import Mapping

from torch import Tensor

from thin_ice.sparsity.masks import Masks, global_masks, top_k_mask

Counts = dict[str, int]
Densities = dict[str, float]

BISECTIONS = 100


def erdos_renyi_kernel(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, float]:
    """ERK (Evci et al. 2020): a layer's density in proportion to the sum of its dimensions over
    their product.
    """
    return {name: sum(shape) / math.prod(shape) for name, shape in shapes.items()}


def igq_counts(sizes: Mapping[str, int], kept: int) -> Counts:
    """IGQ, the quotas of Flying Bird: of a layer of n weights n / (1 + f n) stay, with the one f
    that leaves ``kept`` of all, so that small layers keep a larger share.
    """

    def shares(factor: float) -> Densities:
        return {name: size / (1 + factor * size) for name, size in sizes.items()}

    low, high = 0.0, 1.0  # at 1 less than one weight of each layer is left
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if sum(shares(middle).values()) < kept else (middle, high)
    return rounded(shares(low), sizes, kept)


def rounded(shares: Mapping[str, float], sizes: Mapping[str, int], kept: int) -> Counts:
    """Whole numbers near ``shares`` that add up to ``kept``, none above its layer's size: rounded
    down, then one more for those of the largest rest.
    """
    counts = {name: min(math.floor(share), sizes[name]) for name, share in shares.items()}
    while missing := kept - sum(counts.values()):
        room = [name for name in counts if counts[name] < sizes[name]]
        rest = sorted(room, key=lambda name: counts[name] - shares[name])
        for name in rest[:missing]:
            counts[name] += 1
    return counts


def densities_of(masks: Masks) -> dict[str, float]:
    """Kept shares of masks; of an empty one what a single kept weight would be."""
    return {name: max(int(mask.sum()), 1) / mask.numel() for name, mask in masks.items()}


def magnitude_densities(weights: Mapping[str, Tensor], sparsity: float) -> dict[str, float]:
    """What a single threshold on the magnitudes of all layers leaves of each."""
    return densities_of(global_masks({name: w.abs() for name, w in weights.items()}, sparsity))


def masks_of(scores: Mapping[str, Tensor], counts: Mapping[str, int]) -> Masks:
    """In each layer its count of largest scores."""
    return {name: top_k_mask(score, counts[name]) for name, score in scores.items()}

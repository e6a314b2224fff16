"""Budgets that differ between layers: how many weights each keeps, so that all together keep what
they should.
"""

import math
from collections.abc import Mapping

from torch import Tensor

from thin_ice.sparsity.masks import Masks, global_masks, top_k_mask

Counts = dict[str, int]
Densities = dict[str, float]
HALVINGS = 100  # of the interval in which the common factor lies; doubles have 53 bits


def shared_out(
    densities: Mapping[str, float], sizes: Mapping[str, int], keep: int, least: float = 0.0
) -> Counts:
    """Whole numbers of weights per layer, ``keep`` in all, in proportion to ``densities``.

    A layer keeps at least one weight and at most all; what rounding down leaves goes to the largest
    remainders, of equal ones to the first layer.

    Args:
        densities: of each layer, more than 0, up to a common factor.
        sizes: of each layer.
        keep: how many weights all layers keep together.
        least: density that no layer goes below, nor below one weight.

    Raises:
        ValueError: the layers keep more than that at least, or have fewer.
    """
    limits = {name: (max(1.0, least * size), size) for name, size in sizes.items()}
    if not sum(low for low, _ in limits.values()) <= keep <= sum(sizes.values()):
        raise ValueError(f"{keep} weights to keep in {len(sizes)} layers of {sum(sizes.values())}")
    wanted = {name: densities[name] * size for name, size in sizes.items()}
    exact = _scaled(wanted, limits, keep)
    counts = {name: math.floor(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: counts[name] - exact[name])
    able = [name for name in by_remainder if counts[name] < sizes[name]]
    for name in able[: keep - sum(counts.values())]:
        counts[name] += 1
    return counts


def _scaled(
    wanted: Mapping[str, float], limits: Mapping[str, tuple[float, int]], keep: int
) -> dict[str, float]:
    """What is wanted times a common factor, each within its limits, with ``keep`` as their sum; by
    bisection of the factor's logarithm.
    """

    def at(logarithm: float) -> dict[str, float]:
        factor = math.exp(logarithm)
        return {n: min(max(low, factor * wanted[n]), high) for n, (low, high) in limits.items()}

    ratios = [limit / wanted[n] for n, both in limits.items() for limit in both]
    low, high = math.log(min(ratios)), math.log(max(ratios))  # each at its least, at its most
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if sum(at(middle).values()) > keep else (middle, high)
    return at(low)


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

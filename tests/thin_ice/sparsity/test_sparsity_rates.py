"""Allocations that need no search, and masks of counts."""

import torch

from thin_ice.sparsity.masks import global_masks
from thin_ice.sparsity.rates import (
    densities_of,
    erdos_renyi_kernel,
    magnitude_densities,
    masks_of,
)

SIZES = {"first": 72, "second": 4608, "third": 18432, "linear": 2560}


def test_erk_by_hand():
    found = erdos_renyi_kernel({"conv": (4, 2, 3, 3), "linear": (10, 8)})
    assert found == {"conv": 12 / 72, "linear": 18 / 80}


def test_magnitude_densities_are_those_of_one_threshold():
    weights = {
        n: torch.randn(s, generator=torch.Generator().manual_seed(s)) for n, s in SIZES.items()
    }
    masks = global_masks({name: weight.abs() for name, weight in weights.items()}, 0.9)
    found = magnitude_densities(weights, 0.9)
    assert found == {name: mask.sum().item() / mask.numel() for name, mask in masks.items()}
    assert densities_of({"gone": torch.zeros(4, dtype=torch.bool)}) == {"gone": 0.25}


def test_masks_keep_the_largest_of_each_layer():
    scores = {"a": torch.tensor([1.0, 3.0, 2.0]), "b": torch.tensor([[1.0, 1.0]])}
    masks = masks_of(scores, {"a": 2, "b": 1})
    assert masks["a"].tolist() == [False, True, True]
    assert masks["b"].tolist() == [[True, False]]

"""Budgets that differ between layers meet the whole exactly."""

import math

import pytest
import torch

from thin_ice.sparsity.masks import global_masks
from thin_ice.sparsity.rates import (
    densities_of,
    erdos_renyi_kernel,
    magnitude_densities,
    masks_of,
    shared_out,
)

SIZES = {"first": 72, "second": 4608, "third": 18432, "linear": 2560}


def test_equal_densities_share_out_in_proportion_to_size():
    counts = shared_out(dict.fromkeys(SIZES, 1.0), SIZES, 2567)
    assert sum(counts.values()) == 2567
    assert all(abs(counts[n] - 2567 * SIZES[n] / sum(SIZES.values())) < 1 for n in SIZES)


def test_a_factor_is_shared_and_by_hand():
    # factor f: 4 f + 2 * 2 f = 4, so f = 1/2: two and two of four and two weights
    assert shared_out({"a": 1.0, "b": 2.0}, {"a": 4, "b": 2}, 4) == {"a": 2, "b": 2}
    # what rounding down leaves goes to the largest remainder: 4/3 and 8/3 of 4 and 8
    assert shared_out({"a": 1.0, "b": 1.0}, {"a": 4, "b": 8}, 4) == {"a": 1, "b": 3}
    # of equal remainders to the first
    assert shared_out({"a": 1.0, "b": 1.0}, {"a": 5, "b": 5}, 5) == {"a": 3, "b": 2}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("keep", [4, 5, 257, 2567, 25000, 25671, 25672])
def test_any_densities_meet_the_budget_within_the_layers_limits(seed, keep):
    draw = torch.randn(4, generator=torch.Generator().manual_seed(seed)) * 3
    densities = dict(zip(SIZES, draw.exp().tolist(), strict=True))
    counts = shared_out(densities, SIZES, keep)
    assert sum(counts.values()) == keep
    assert all(1 <= counts[name] <= SIZES[name] for name in SIZES)


def test_no_layer_goes_below_the_least_density():
    densities = {"first": 1e-6, "second": 1e-6, "third": 1.0, "linear": 1.0}
    counts = shared_out(densities, SIZES, 2567, least=0.01)
    assert sum(counts.values()) == 2567
    assert all(counts[name] >= math.floor(0.01 * SIZES[name]) for name in SIZES)
    assert counts["second"] == 46
    assert shared_out(densities, SIZES, 2567)["second"] == 1


@pytest.mark.parametrize("keep", [3, 25673])
def test_a_budget_that_no_layers_can_meet_is_refused(keep):
    with pytest.raises(ValueError, match=rf"{keep} weights to keep in 4 layers of 25672"):
        shared_out(dict.fromkeys(SIZES, 1.0), SIZES, keep)


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

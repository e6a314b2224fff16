"""Allocations that need no search, and masks of counts."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thin_ice.sparsity.masks import global_masks
from thin_ice.sparsity.rates import (
    densities_of,
    erdos_renyi_kernel,
    igq_counts,
    magnitude_densities,
    masks_of,
    rounded,
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


@pytest.mark.parametrize("kept", [26, 257, 2567, 12836, 25672])
def test_igq_counts_have_one_factor(kept):
    """Of m = n / (1 + f n), 1 / m - 1 / n is f in every layer, up to rounding."""
    counts = igq_counts(SIZES, kept)
    assert sum(counts.values()) == kept
    factors = []
    for name, size in SIZES.items():
        least, most = (1 / (counts[name] + end) - 1 / size for end in (1, -1 + 1e-9))
        factors.append((least, most))
    assert max(least for least, _ in factors) <= min(most for _, most in factors)


def test_of_igq_a_larger_layer_keeps_more_weights_and_a_smaller_share():
    counts = igq_counts(SIZES, 2567)
    by_size = sorted(SIZES, key=SIZES.get)
    for smaller, larger in itertools.pairwise(by_size):
        assert counts[smaller] < counts[larger]
        assert counts[smaller] / SIZES[smaller] > counts[larger] / SIZES[larger]


layers = st.lists(st.integers(1, 5000), min_size=1, max_size=8)


@given(layers, st.floats(0, 1))
def test_quotas_add_up_to_the_budget_and_fit_their_layers(sizes, share):
    sizes = {str(place): size for place, size in enumerate(sizes)}
    kept = round(share * sum(sizes.values()))
    counts = igq_counts(sizes, kept)
    assert sum(counts.values()) == kept
    assert all(0 <= counts[name] <= size for name, size in sizes.items())


def test_what_is_missing_after_rounding_goes_to_the_largest_rests_where_there_is_room():
    sizes = {"a": 10, "b": 10, "c": 3}
    assert rounded({"a": 1.2, "b": 2.7, "c": 3.0}, sizes, 7) == {"a": 1, "b": 3, "c": 3}
    assert rounded({"a": 1.2, "b": 2.7, "c": 2.9}, sizes, 9) == {"a": 2, "b": 4, "c": 3}

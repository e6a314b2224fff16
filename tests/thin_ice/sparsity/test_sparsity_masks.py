"""Masks are pure functions of scores: exact budgets, ties to the lowest index."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from thin_ice.sparsity.masks import (
    ALLOCATIONS,
    global_masks,
    kept_count,
    layerwise_masks,
    row_mask,
    top_k_mask,
)


def by_sorting(scores, keep):
    """The mask by Python's sort: largest first, of equals the lowest index first."""
    flat = scores.flatten().tolist()
    best = sorted(range(len(flat)), key=lambda index: (-flat[index], index))[:keep]
    mask = torch.zeros(len(flat), dtype=torch.bool)
    mask[best] = True
    return mask.view(scores.shape)


def random_scores(seed, shapes=((6, 1, 3, 3), (8, 6, 3, 3), (10, 32))):
    rng = np.random.default_rng(seed)
    return {f"layer{i}": torch.tensor(rng.random(shape)) for i, shape in enumerate(shapes)}


@pytest.mark.parametrize("seed", range(5))
def test_top_k_is_python_s_sort_on_random_shapes_with_many_ties(seed):
    rng = np.random.default_rng(seed)
    for _ in range(60):
        shape = tuple(rng.integers(1, 6, size=rng.integers(1, 5)))
        scores = torch.tensor(rng.integers(-2, 3, size=shape), dtype=torch.float32)
        keep = int(rng.integers(0, scores.numel() + 1))
        mask = top_k_mask(scores, keep)
        assert mask.dtype == torch.bool
        assert torch.equal(mask, by_sorting(scores, keep)), (scores, keep)


def test_ties_go_to_the_lowest_index():
    scores = torch.tensor([[1.0, 2.0, 1.0], [1.0, 2.0, 1.0]])
    expected = torch.tensor([[True, True, False], [False, True, False]])
    assert torch.equal(top_k_mask(scores, 3), expected)


@pytest.mark.parametrize("value", [0.0, 1.0, -0.0])
@pytest.mark.parametrize("keep", [0, 1, 7, 12])
def test_top_k_keeps_the_exact_count_where_all_scores_are_equal(value, keep):
    mask = top_k_mask(torch.full((3, 4), value), keep)
    assert mask.flatten().tolist() == [True] * keep + [False] * (12 - keep)


def test_nothing_and_everything_can_be_kept():
    scores = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    assert not top_k_mask(scores, 0).any()
    assert top_k_mask(scores, 12).all()


@pytest.mark.parametrize(
    ("size", "sparsity", "kept"),
    [
        (100, 0.29, 71),  # 0.29 * 100 is 28.999999999999996
        (100, 0.57, 43),  # 0.57 * 100 is 56.99999999999999
        (1000, 0.9, 100),
        (7, 0.5, 4),  # floor(3.5) = 3 are pruned
        (10, 0.99, 1),
        (9, 0.99, 1),  # floor(8.91) = 8 are pruned
        (10, 0.0, 10),
        (10, 1.0, 0),
    ],
)
def test_kept_count_by_hand(size, sparsity, kept):
    assert kept_count(size, sparsity) == kept


def test_kept_count_is_exact_for_every_percentage():
    sizes = [1, 9, 36, 100, 288, 1152, 2304, 14_710_464]
    for percent in range(101):
        for size in sizes:
            pruned = math.floor(Fraction(percent, 100) * size)
            assert kept_count(size, percent / 100) == size - pruned, (percent, size)


@pytest.mark.parametrize("sparsity", [0.5, 0.9, 0.99])
def test_layerwise_masks_are_numpy_s_largest_of_each_layer(sparsity):
    scores = random_scores(1)
    masks = layerwise_masks(scores, sparsity)
    for name, score in scores.items():
        values = score.numpy().ravel()
        keep = values.size - math.floor(Fraction(str(sparsity)) * values.size)
        expected = np.zeros(values.size, dtype=bool)
        expected[np.argsort(-values, kind="stable")[:keep]] = True
        np.testing.assert_array_equal(masks[name].numpy(), expected.reshape(score.shape))


@pytest.mark.parametrize("sparsity", [0.5, 0.9, 0.99])
def test_global_masks_are_numpy_s_largest_of_all_layers_together(sparsity):
    scores = random_scores(2)
    scores["layer0"] *= 3  # another scale, so that layers do not keep equal shares
    masks = global_masks(scores, sparsity)
    values = np.concatenate([score.numpy().ravel() for score in scores.values()])
    keep = values.size - math.floor(Fraction(str(sparsity)) * values.size)
    expected = np.zeros(values.size, dtype=bool)
    expected[np.argsort(-values, kind="stable")[:keep]] = True
    found = np.concatenate([mask.numpy().ravel() for mask in masks.values()])
    np.testing.assert_array_equal(found, expected)
    assert all(masks[name].shape == score.shape for name, score in scores.items())
    shares = [mask.float().mean().item() for mask in masks.values()]
    assert max(shares) - min(shares) > 0.01


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.29, 0.5, 0.9, 0.95, 0.99])
def test_uniform_allocation_meets_the_sparsity_of_each_layer_within_one_weight(sparsity):
    for mask in layerwise_masks(random_scores(3), sparsity).values():
        pruned = int((~mask).sum())
        assert 0 <= sparsity * mask.numel() - pruned + 1e-9 < 1


@pytest.mark.parametrize("allocation", ALLOCATIONS)
def test_a_sparser_mask_lies_inside_a_denser_one(allocation):
    scores = random_scores(4)
    scores = {name: (4 * score).round() for name, score in scores.items()}  # ties too
    sparsities = [0.0, 0.3, 0.5, 0.9, 0.95, 0.99, 1.0]
    chain = [ALLOCATIONS[allocation](scores, sparsity) for sparsity in sparsities]
    for denser, sparser in itertools.pairwise(chain):
        assert all(not (sparser[name] & ~denser[name]).any() for name in scores)


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        (0, [[], []]),
        (1, [[2], []]),
        (2, [[2], [0]]),
        (3, [[1, 2], [0]]),
        (4, [[1, 2], [0, 1]]),
        (6, [[0, 1, 2], [0, 1, 2]]),
    ],
)
def test_every_row_keeps_as_many_and_the_first_ones_take_the_rest(keep, expected):
    scores = torch.tensor([[-1.0, 2.0, 3.0], [50.0, 50.0, -70.0]])
    mask = row_mask(scores, keep)
    assert mask.dtype == torch.bool
    assert [row.nonzero().flatten().tolist() for row in mask] == expected

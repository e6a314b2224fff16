"""Which channels stay."""

import pytest
import torch

from thin_ice.sparsity.channel_budgets import kept_channels

SCORES = {"a": torch.tensor([1.0, 5.0, 3.0, 2.0]), "b": torch.tensor([9.0, 8.0, 7.0, 6.0])}


def places(kept):
    return {name: mask.nonzero().flatten().tolist() for name, mask in kept.items()}


def test_per_layer_each_group_keeps_the_same_share():
    assert places(kept_channels(SCORES, 0.5, "layer")) == {"a": [1, 2], "b": [0, 1]}


@pytest.mark.parametrize(
    ("sparsity", "expected"),
    [
        (0.25, {"a": [1, 2], "b": [0, 1, 2, 3]}),
        (0.5, {"a": [1], "b": [0, 1, 2]}),  # by the threshold alone a would keep nothing
        (0.75, {"a": [1], "b": [0]}),
        (0.99, {"a": [1], "b": [0]}),
    ],
)
def test_globally_one_threshold_holds_and_no_group_goes_to_nothing(sparsity, expected):
    assert places(kept_channels(SCORES, sparsity, "global")) == expected


def test_scores_are_not_changed():
    before = {name: score.clone() for name, score in SCORES.items()}
    kept_channels(SCORES, 0.5, "global")
    assert all(torch.equal(SCORES[name], score) for name, score in before.items())

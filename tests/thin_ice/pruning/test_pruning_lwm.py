"""Magnitude pruning keeps the largest weights."""

import numpy as np
import pytest
import torch

from thin_ice.pruning.lwm import Lwm
from thin_ice.pruning.prune import prune
from thin_ice.sparsity.masks import kept_count
from thin_ice.sparsity.prunable import prunable_weights


def magnitudes(model, layers="all"):
    return {n: w.detach().abs().numpy().ravel() for n, w in prunable_weights(model, layers).items()}


def kept_of(masks):
    return {name: mask.numpy().ravel() for name, mask in masks.items()}


@pytest.mark.parametrize("sparsity", [0.5, 0.9, 0.99])
def test_per_layer_the_largest_magnitudes_of_each_layer_stay(build, sparsity):
    before = magnitudes(build(0))
    kept = kept_of(Lwm().pruner(sparsity).finish(build(0)))
    for name, size in before.items():
        assert kept[name].sum() == kept_count(size.size, sparsity)
        assert size[kept[name]].min() > size[~kept[name]].max()


@pytest.mark.parametrize("layers", ["all", "convolutions"])
@pytest.mark.parametrize("sparsity", [0.5, 0.9, 0.99])
def test_globally_the_largest_magnitudes_of_all_layers_together_stay(build, sparsity, layers):
    before = magnitudes(build(0), layers)
    kept = kept_of(Lwm("global", layers).pruner(sparsity).finish(build(0)))
    sizes, stays = (np.concatenate([part[name] for name in before]) for part in (before, kept))
    assert stays.sum() == kept_count(sizes.size, sparsity)
    assert sizes[stays].min() > sizes[~stays].max()
    shares = [kept[name].mean() for name in before]
    assert max(shares) > 1.2 * min(shares), "layers of another scale keep another share"


def test_what_stays_is_not_changed(build, setting, checkpoint):
    model = build(0)
    pruned = prune(model, Lwm().pruner(0.9), setting(epochs=0), checkpoint)
    after = model.state_dict()
    for name, before in build(0).state_dict().items():
        mask = pruned.masks.get(name, torch.ones_like(before, dtype=torch.bool))
        assert torch.equal(after[name], torch.where(mask, before, 0))
    assert pruned.history == []

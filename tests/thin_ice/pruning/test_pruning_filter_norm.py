"""Norms of filters by hand."""

import pytest
import torch
from torch import nn

from thin_ice.pruning.filter_norm import FilterNorm
from thin_ice.sparsity.masks import kept_count


def two_layers():
    """Four channels whose writing weights and reading weights are planted."""
    model = nn.Sequential(
        nn.Conv2d(1, 4, (1, 2)), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 8 * 7, 3)
    )
    with torch.no_grad():
        model[0].weight.copy_(
            torch.tensor([[3.0, 0.0], [-2.0, 2.0], [0.1, 0.2], [1.0, 1.1]]).view(4, 1, 1, 2)
        )
        columns = torch.tensor([1.0, -0.5, 4.0, 2.0]).repeat_interleave(56)
        model[4].weight.copy_(columns.expand(3, -1))
    return model


def kept(setting, sparsity=0.5, unit="filter", **options):
    model, pruner = two_layers(), FilterNorm(**options).pruner(sparsity, unit)
    pruner.attach(model, setting())
    masks = pruner.finish(model)
    rows = masks["0.weight"].flatten(1).any(1)
    assert torch.equal(masks["1.weight"], rows)
    assert torch.equal(masks["4.weight"][0], rows.repeat_interleave(56))
    return rows.nonzero().flatten().tolist()


def test_by_hand_the_norms_decide(setting):
    assert kept(setting, norm="l1") == [0, 1]  # 3, 4, 0.3, 2.1
    assert kept(setting, sparsity=0.75, norm="l1") == [1]
    assert kept(setting, sparsity=0.75, norm="l2") == [0]  # 3, 2.83, 0.22, 1.49
    assert kept(setting, unit="channel") == [2, 3]  # by those that read: 1, 0.5, 4, 2


def pruned(build, setting, sparsity, **options):
    model, pruner = build(0), FilterNorm(**options).pruner(sparsity, "filter")
    pruner.attach(model, setting())
    masks = pruner.finish(model)
    convolutions = [name for name in masks if name.endswith("conv.weight")]
    return model, {name: masks[name].flatten(1).any(1) for name in convolutions}


@pytest.mark.parametrize("sparsity", [0.5, 0.8, 0.95, 0.99])
def test_one_threshold_leaves_each_group_a_channel(build, setting, sparsity):
    _, rows = pruned(build, setting, sparsity, allocation="global")
    counts = [int(stays.sum()) for stays in rows.values()]
    assert min(counts) >= 1
    assert sum(counts) == max(kept_count(4 + 8 + 16, sparsity), len(rows))


def test_one_threshold_is_for_norms_in_terms_of_their_group_s_mean(build, setting):
    _, rows = pruned(build, setting, 0.5, allocation="global", norm="l2")
    scores = {n: build(0).get_parameter(n).detach().flatten(1).norm(dim=1) for n in rows}
    scores = {name: norms / norms.mean() for name, norms in scores.items()}
    values, stays = (torch.cat([part[n] for n in rows]) for part in (scores, rows))
    assert values[stays].min() > values[~stays].max()
    _, same = pruned(build, setting, 0.5, norm="l2")
    assert any(not torch.equal(same[name], rows[name]) for name in rows)

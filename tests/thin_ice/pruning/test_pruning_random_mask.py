"""Random pruning draws by name, and fairly."""

import dataclasses

import pytest
import torch

from thin_ice.pruning.prune import prune
from thin_ice.pruning.random_mask import RandomMask
from thin_ice.sparsity.masks import kept_count


@pytest.fixture
def drawn(build, setting, checkpoint):
    """The masks of a fresh network."""

    def draw(seed=0, unit="weight", sparsity=0.8, **options):
        chosen = setting(epochs=0, stream=(seed, "prune", "random_mask-0.8"))
        return prune(
            build(0), RandomMask(**options).pruner(sparsity, unit), chosen, checkpoint
        ).masks

    return draw


def overlap(some, others):
    """Share of what one keeps that the other keeps too."""
    both = sum(int((some[n] & others[n]).sum()) for n in some)
    return both / sum(int(mask.sum()) for mask in some.values())


def test_the_same_names_draw_the_same(drawn):
    assert overlap(drawn(), drawn()) == 1.0


@pytest.mark.parametrize("other", [{"draw": 1}, {"seed": 1}], ids=str)
def test_another_draw_or_seed_keeps_others_by_chance(drawn, other):
    assert overlap(drawn(), drawn(**other)) == pytest.approx(0.2, abs=0.04)


@pytest.mark.parametrize("other", [{"draw": 1}, {"seed": 1}], ids=str)
def test_filters_too(drawn, other):
    first, second = drawn(unit="filter", sparsity=0.5), drawn(unit="filter", sparsity=0.5, **other)
    assert first.keys() == second.keys()
    assert any(not torch.equal(first[name], second[name]) for name in first)


def test_every_weight_of_a_layer_is_kept_about_as_often(drawn):
    draws = [drawn(draw=number)["block1.conv.weight"] for number in range(100)]
    share = torch.stack(draws).float().mean(0)
    assert share.mean().item() == pytest.approx(kept_count(36, 0.8) / 36)
    assert share.min() > 0.05
    assert share.max() < 0.45


def test_layers_draw_independently(drawn):
    """The places that both have agree by chance: a fifth of the kept ones."""
    shared = []
    for number in range(30):
        masks = drawn(draw=number)
        first = masks["block1.conv.weight"].flatten()
        shared.append(masks["block2.conv.weight"].flatten()[: len(first)][first])
    assert torch.cat(shared).float().mean().item() == pytest.approx(0.2, abs=0.1)


def test_a_draw_is_the_only_option_of_chance():
    assert dataclasses.asdict(RandomMask()) == {"draw": 0, "layers": "all"}

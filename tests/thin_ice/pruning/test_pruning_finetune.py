"""Fine-tuning trains under masks that no longer move."""

import copy

import pytest
import torch

from thin_ice.checkpoint import Checkpoint
from thin_ice.objectives.trades import Trades
from thin_ice.pruning.finetune import finetune
from thin_ice.pruning.lwm import Lwm
from thin_ice.pruning.prune import prune
from thin_ice.sparsity.parametrizations import parametrized_modules


@pytest.fixture
def pruned(build, setting, tmp_path):
    """A pruned network and its masks."""
    model = build(0)
    done = prune(model, Lwm().pruner(0.9), setting(epochs=0), Checkpoint(tmp_path / "p", "job"))
    return model, done.masks


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_pruned_weights_stay_zero_and_everything_else_trains(
    pruned, setting, checkpoint, optimizer
):
    model, masks = pruned
    before = copy.deepcopy(model.state_dict())
    chosen = setting(Trades(steps=1), optimizer=optimizer, lr=0.01, weight_decay=0.01)
    history = finetune(model, masks, chosen, checkpoint)
    assert [row["epoch"] for row in history] == [1, 2, 3]
    for name, parameter in model.named_parameters():
        mask = masks.get(name, torch.ones_like(parameter, dtype=torch.bool))
        assert not parameter[~mask].any()
        assert not torch.equal(parameter[mask], before[name][mask]), f"{name} did not train"


def test_the_masks_are_not_changed(pruned, setting, checkpoint):
    model, masks = pruned
    before = copy.deepcopy(masks)
    finetune(model, masks, setting(), checkpoint)
    assert all(torch.equal(masks[name], before[name]) for name in before)


def test_the_network_is_plain_afterwards(pruned, build, setting, checkpoint):
    model, masks = pruned
    finetune(model, masks, setting(epochs=1), checkpoint)
    assert not parametrized_modules(model)
    assert sorted(model.state_dict()) == sorted(build(0).state_dict())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_best_ends_with_masked_weights_too(pruned, setting, checkpoint):
    model, masks = pruned
    finetune(model, masks, setting(select="best", lr=0.2), checkpoint)
    assert all(not dict(model.named_parameters())[n][~mask].any() for n, mask in masks.items())


def test_a_dense_layer_outside_the_masks_trains_whole(build, setting, tmp_path):
    model = build(0)
    pruner = Lwm(layers="convolutions").pruner(0.9)
    done = prune(model, pruner, setting(epochs=0), Checkpoint(tmp_path / "p", "job"))
    before = model.linear.weight.detach().clone()
    finetune(model, done.masks, setting(weight_decay=0.0), Checkpoint(tmp_path / "f", "job"))
    assert (model.linear.weight != before).float().mean() > 0.9


def test_a_killed_fine_tuning_ends_where_an_uninterrupted_one_ends(pruned, setting, tmp_path):
    model, masks = pruned
    whole, killed, resumed = (copy.deepcopy(model) for _ in range(3))
    chosen = setting(Trades(steps=1))
    history = finetune(whole, masks, chosen, Checkpoint(tmp_path / "whole", "job"))
    steps = []

    def stop(module, inputs):
        steps.append(module.training)
        if steps.count(True) == 2 * (3 + 1):  # two passes a step, in the second epoch
            raise KeyboardInterrupt

    hook = killed.register_forward_pre_hook(stop)
    with pytest.raises(KeyboardInterrupt):
        finetune(killed, masks, chosen, Checkpoint(tmp_path / "killed", "job"))
    hook.remove()
    assert Checkpoint(tmp_path / "killed", "job").load()[1]["epoch"] == 1
    assert finetune(resumed, masks, chosen, Checkpoint(tmp_path / "killed", "job")) == history
    found, expected = resumed.state_dict(), whole.state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)

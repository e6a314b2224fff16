"""A network without its dead channels is smaller and computes the same."""

import copy

import pytest
import torch
from small_networks import SMALL, random_kept, small
from torch import nn

from thin_ice.sparsity.channels import channel_groups, group_masks
from thin_ice.sparsity.compact import (
    LogitsChanged,
    compact,
    living_channels,
    logit_difference,
)
from thin_ice.sparsity.parametrizations import export, fix_masks


def without(model, images, kept):
    """Prune the channels that are not kept, and give the masks."""
    masks = group_masks(model, channel_groups(model, images), kept)
    fix_masks(model, masks)
    export(model)
    return masks


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("kind", SMALL)
def test_pruned_channels_are_gone_and_the_logits_are_the_same(kind, normalize):
    model, images = small(kind, normalize)
    kept = random_kept(channel_groups(model, images))
    masks = without(model, images, kept)
    made = compact(model, images)
    assert made.emptied == ()
    assert all(torch.equal(made.kept[name], kept[name]) for name in kept)
    difference = logit_difference(model, made.model, images)
    assert difference.float32 < 1e-5
    assert difference.float64 is None
    # Everything that the masks struck out is gone, and nothing else.
    struck = sum(int((~mask).sum()) for mask in masks.values())
    assert count(made.model) == count(model) - struck
    assert made.removed == sum(int((~keep).sum()) for keep in kept.values()) > 0


@pytest.mark.parametrize("kind", SMALL)
def test_the_values_that_stay_are_the_same_to_the_last_bit(kind):
    model, images = small(kind)
    masks = without(model, images, random_kept(channel_groups(model, images)))
    parameters = dict(model.named_parameters())
    for name, value in compact(model, images).model.named_parameters():
        mask = masks.get(name, torch.ones_like(value, dtype=torch.bool))
        assert torch.equal(value.flatten(), parameters[name][mask]), name


def test_the_network_is_left_as_it_was():
    model, images = small("resnet18")
    without(model, images, random_kept(channel_groups(model, images)))
    before = copy.deepcopy(model.state_dict())
    model.train()
    compact(model, images)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_dense_network_stays_whole():
    model, images = small("digits_cnn")
    made = compact(model, images)
    assert (made.removed, made.emptied) == (0, ())
    assert torch.equal(made.model(images), model(images))


def test_a_channel_that_nobody_reads_is_dead_whatever_it_computes():
    model, images = small("digits_cnn")
    with torch.no_grad():
        model.network.block2.conv.weight[:, 1] = 0  # single weights, as pruning them may leave
    made = compact(model, images)
    assert made.kept["network.block1.conv"].tolist() == [True, False, True, True]
    assert made.removed == 1
    logit_difference(model, made.model, images)


def test_a_channel_of_zeros_that_is_read_stays():
    model, images = small("digits_cnn")
    with torch.no_grad():
        model.network.block1.conv.weight[1] = 0  # batch norm makes a constant of it
    assert compact(model, images).removed == 0


def test_a_channel_that_one_of_several_layers_reads_stays():
    model, images = small("resnet18")
    with torch.no_grad():
        model.network.layer1[0].conv1.weight[:, 0] = 0  # the shortcut goes on to others
    assert compact(model, images).removed == 0


def test_a_channel_of_which_one_place_is_read_stays():
    """Of a flattened map, height x width columns belong to a channel."""
    model, images = small("digits_cnn")
    with torch.no_grad():
        model.network.linear.weight[:, 1:4] = 0  # of channel 0 one place of four is read
        model.network.linear.weight[:, 4:8] = 0  # of channel 1 none
    made = compact(model, images)
    assert made.kept["network.block3.conv"].tolist()[:3] == [True, False, True]
    logit_difference(model, made.model, images)


def test_what_only_dead_channels_read_is_dead_too():
    model, images = small("digits_cnn")
    with torch.no_grad():
        model.network.linear.weight[:, 4 * 4 :] = 0  # of block 3 four channels live
        model.network.block3.conv.weight[:4, 3:] = 0  # which read three of block 2
        model.network.block2.conv.weight[:3, 1:] = 0  # which read one of block 1
    living = living_channels(model, channel_groups(model, images))
    assert {name: int(channels.sum()) for name, channels in living.items()} == {
        "network.block1.conv": 1,
        "network.block2.conv": 3,
        "network.block3.conv": 4,
    }
    logit_difference(model, compact(model, images).model, images)


@pytest.mark.parametrize("kind", SMALL)
def test_of_a_group_without_a_living_channel_one_stays_and_is_named(kind):
    model, images = small(kind)
    group = channel_groups(model, images)[0]
    without(model, images, {group.name: torch.zeros(group.size, dtype=torch.bool)})
    made = compact(model, images)
    assert group.name in made.emptied
    assert made.kept[group.name].tolist() == [True] + [False] * (group.size - 1)
    logit_difference(model, made.model, images)


def times(model, factor):
    """The same network with larger logits."""
    larger = copy.deepcopy(model)
    with torch.no_grad():
        larger.network.linear.weight.mul_(factor)
        larger.network.linear.bias.mul_(factor)
    return larger


def test_other_logits_are_an_error_with_both_numbers():
    model, images = small("digits_cnn")
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.network.linear.bias[0] += 1e-3
    said = r"up to 0\.001 in float32 and 0\.001 in float64, allowed is 1e-05"
    with pytest.raises(LogitsChanged, match=said):
        logit_difference(model, other, images)
    nn.init.constant_(other.network.linear.bias, float("nan"))
    with pytest.raises(LogitsChanged, match="up to nan in float32 and nan in float64"):
        logit_difference(model, other, images)


def test_the_bound_is_absolute_however_large_the_logits_are():
    """Of logits of thousands, 2e-3 less is a rounding error of one in a million."""
    model, images = small("digits_cnn")
    large = times(model, 1e4)
    other = copy.deepcopy(large)
    assert large(images).abs().max() > 1000
    with torch.no_grad():
        other.network.linear.bias[0] += 2e-3
    assert (other(images) - large(images)).abs().max() < 1e-5 * large(images).abs().max()
    with pytest.raises(LogitsChanged, match=r"and 0\.00195 in float64"):
        logit_difference(large, other, images)


def test_what_float32_rounds_of_large_logits_is_no_difference():
    model, images = small("resnet18")
    without(model, images, random_kept(channel_groups(model, images)))
    large = times(model, 1e4)
    difference = logit_difference(large, compact(large, images).model, images)
    assert difference.float32 > 1e-5
    assert difference.float64 < 1e-8
    assert (large(images).dtype, images.dtype) == (torch.float32, torch.float32)


class Coarse(nn.Module):
    """A network whose logits are right in float64 only."""

    def __init__(self, network, error):
        super().__init__()
        self.network, self.error = network, error

    def forward(self, images):
        logits = self.network(images)
        return logits if logits.dtype == torch.float64 else logits + self.error


def test_float32_may_differ_by_its_rounding_only():
    model, images = small("digits_cnn")
    large = times(model, 1e4)
    most = large(images).abs().max().item()
    assert logit_difference(large, Coarse(large, 0.5e-5 * most), images).float32 > 1e-5
    with pytest.raises(LogitsChanged, match="and 0 in float64"):
        logit_difference(large, Coarse(large, 2e-5 * most), images)

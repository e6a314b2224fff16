"""Under attack a network is frozen, and afterwards it is what it was."""

import pytest
import torch
from torch import nn

from thin_ice.attacks.modes import in_mode, under_attack


class Stop(Exception):
    """The attack ends early."""


def fail_after(context, forward):
    """Run inside the context and leave it by an error."""
    with context:
        forward()
        raise Stop


def mixed(network):
    """Modes and flags that are not the same throughout."""
    network.train()
    network.block2.bn.eval()
    network.block1.conv.weight.requires_grad_(False)
    modes = {name: module.training for name, module in network.named_modules()}
    flags = {name: p.requires_grad for name, p in network.named_parameters()}
    return modes, flags


def modes_of(network):
    return {name: module.training for name, module in network.named_modules()}


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_the_whole_network_is_in_the_mode_and_every_parameter_frozen(network, mode):
    mixed(network)
    with under_attack(network, mode):
        assert set(modes_of(network).values()) == {mode == "train"}
        assert not any(p.requires_grad for p in network.parameters())


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("early", [False, True])
def test_modes_flags_and_buffers_are_put_back(network, images, mode, early):
    modes, flags = mixed(network)
    buffers = {name: b.clone() for name, b in network.named_buffers()}
    if early:
        with pytest.raises(Stop):
            fail_after(under_attack(network, mode), lambda: network(images))
    else:
        with under_attack(network, mode):
            network(images)
    assert modes_of(network) == modes
    assert {name: p.requires_grad for name, p in network.named_parameters()} == flags
    assert all(torch.equal(b, buffers[name]) for name, b in network.named_buffers())


def test_training_mode_uses_and_moves_batch_statistics_while_it_lasts(network, images):
    with under_attack(network, "train"):
        mean = network.block1.bn.running_mean.clone()
        network(images)
        assert not torch.equal(network.block1.bn.running_mean, mean)
        assert int(network.block1.bn.num_batches_tracked) == 1
    assert int(network.block1.bn.num_batches_tracked) == 0


def test_buffers_are_restored_in_place(network, images):
    buffers = {name: b.data_ptr() for name, b in network.named_buffers()}
    with under_attack(network, "train"):
        network(images)
    assert {name: b.data_ptr() for name, b in network.named_buffers()} == buffers


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_in_mode_puts_modes_back_and_freezes_nothing(network, mode):
    modes, flags = mixed(network)
    with in_mode(network, mode):
        assert set(modes_of(network).values()) == {mode == "train"}
        assert {name: p.requires_grad for name, p in network.named_parameters()} == flags
    assert modes_of(network) == modes
    with pytest.raises(Stop):
        fail_after(in_mode(network, mode), lambda: None)
    assert modes_of(network) == modes


def test_a_backward_pass_under_attack_leaves_no_parameter_gradient(network, images):
    with under_attack(network):
        images.requires_grad_(True)
        network(images).sum().backward()
    assert images.grad is not None
    assert all(p.grad is None for p in network.parameters() if isinstance(p, nn.Parameter))

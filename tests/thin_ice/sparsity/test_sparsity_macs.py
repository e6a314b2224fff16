"""Multiply-accumulates counted by hand, and against torch's own counter."""

import pytest
import torch
from torch import nn

from thin_ice import tables
from thin_ice.models.flops import size
from thin_ice.models.network import Architecture
from thin_ice.sparsity.macs import multiply_accumulates


@pytest.fixture
def network():
    """4x4 outputs of two 3x3 filters on 6x6 images, then 5 logits."""
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 5))


def test_by_hand(network):
    with torch.no_grad():
        network[0].weight[0, 0, 0, 0] = 0
        network[3].weight[:, 0] = 0
    counted = multiply_accumulates(network, (1, 6, 6))
    assert counted.all == 16 * 18 + 32 * 5
    assert counted.nonzero == 16 * 17 + 31 * 5


def test_the_network_is_left_as_it_was(network):
    multiply_accumulates(network, (1, 6, 6))
    assert network.training
    assert {parameter.device.type for parameter in network.parameters()} == {"cpu"}
    assert not any(module._forward_hooks for module in network.modules())


def test_a_network_in_training_mode_is_counted_too():
    """Whose batch norm would ask for more than one value a channel."""
    network = nn.Sequential(nn.Conv2d(1, 2, 6), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 5))
    assert multiply_accumulates(network.train(), (1, 6, 6)).all == 2 * 36 + 2 * 5


@pytest.mark.parametrize("kind", tables.ARCHITECTURES)
def test_a_dense_network_has_half_of_the_flops_that_torch_counts(kind):
    options = {"width": 2} | ({"depth": 10} if kind == "wrn" else {})
    architecture = Architecture(kind, options, (3, 32, 32), 10, normalize=True)
    counted = multiply_accumulates(architecture.build(seed=0), (3, 32, 32))
    assert 2 * counted.all == 2 * counted.nonzero == size(architecture).flops

"""What may be pruned: weights of convolutions and linear layers, in definition order."""

import pytest
from torch import nn

from thin_ice.models.network import Architecture
from thin_ice.sparsity.masks import layerwise_masks
from thin_ice.sparsity.parametrizations import fix_masks
from thin_ice.sparsity.prunable import prunable_modules, prunable_weights

CONVOLUTIONS = ["block1.conv.weight", "block2.conv.weight", "block3.conv.weight"]


def test_all_layers_are_convolutions_and_linear_ones_in_definition_order(network):
    assert list(prunable_weights(network)) == [*CONVOLUTIONS, "linear.weight"]


def test_convolutions_only_leaves_the_classifier_out(network):
    assert list(prunable_weights(network, "convolutions")) == CONVOLUTIONS


@pytest.mark.parametrize("layers", ["all", "convolutions"])
def test_names_are_those_of_the_parameters_themselves(network, layers):
    parameters = dict(network.named_parameters())
    for name, weight in prunable_weights(network, layers).items():
        assert parameters[name] is weight


def test_biases_and_norms_are_never_prunable(network):
    modules = prunable_modules(network)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in modules.values())
    assert not any(name.endswith("bias") for name in modules)


def test_names_hold_inside_a_normalising_wrapper():
    wrapped = Architecture("digits_cnn", {"width": 2}, (1, 8, 8), 10, normalize=True).build(seed=0)
    assert list(prunable_weights(wrapped, "convolutions")) == [f"network.{n}" for n in CONVOLUTIONS]


def test_names_stay_when_weights_carry_masks(network):
    before = list(prunable_modules(network))
    scores = {name: weight.abs() for name, weight in prunable_weights(network).items()}
    fix_masks(network, layerwise_masks(scores, 0.5))
    assert list(prunable_modules(network)) == before

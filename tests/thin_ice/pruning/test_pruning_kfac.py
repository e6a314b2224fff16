"""K-FAC's factors against the Fisher matrix written out."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from thin_ice.pruning.kfac import (
    NoFactors,
    factors,
    input_rows,
    layer_factors,
    output_rows,
    recording,
)


def normal(*shape, seed=0):
    stream = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=stream, dtype=torch.float64)


def filled(module, seed=0):
    """The layer in float64, with weights and biases that are not small."""
    module.double()
    with torch.no_grad():
        for place, parameter in enumerate(module.parameters()):
            parameter.copy_(normal(*parameter.shape, seed=seed + place))
    return module


def found_factors(network, inputs, labels):
    modules = {n: m for n, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    with recording(modules) as seen:
        logits = network(inputs)
    return layer_factors(modules, seen, F.cross_entropy(logits, labels, reduction="sum"))


def matrix_gradient(module, loss):
    """The gradient with respect to a layer's weights as a matrix, its bias the last column."""
    weight, *bias = torch.autograd.grad(loss, list(module.parameters()), retain_graph=True)
    return torch.cat([weight.flatten(1), *(b[:, None] for b in bias)], dim=1)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("layer", "inputs"),
    [
        (lambda bias: nn.Linear(3, 4, bias), (1, 3)),
        (lambda bias: nn.Conv2d(2, 4, 3, bias=bias), (1, 2, 3, 3)),
    ],
    ids=["linear", "convolution at one position"],
)
def test_of_one_sample_and_one_position_the_fisher_matrix_is_exactly_g_times_a(layer, inputs, bias):
    network = nn.Sequential(filled(layer(bias)), nn.Flatten())
    inputs, labels = normal(*inputs, seed=5), torch.tensor([2])
    ((a, g),) = found_factors(network, inputs, labels).values()
    gradient = matrix_gradient(network[0], F.cross_entropy(network(inputs), labels))
    fisher = torch.outer(gradient.flatten(), gradient.flatten())
    torch.testing.assert_close(torch.kron(g, a), fisher)
    diagonal = g.diagonal()[:, None] * a.diagonal()
    torch.testing.assert_close(diagonal, gradient.square())


def test_of_many_samples_a_and_g_are_means_over_them():
    network, inputs = filled(nn.Linear(3, 4)), normal(5, 3, seed=6)
    labels = torch.tensor([0, 3, 1, 1, 2])
    ((a, g),) = found_factors(nn.Sequential(network), inputs, labels).values()
    mean_a, mean_g = torch.zeros(4, 4).double(), torch.zeros(4, 4).double()
    for x, y in zip(inputs, labels, strict=True):
        row = torch.cat([x, torch.ones(1)])
        slope = network(x).softmax(0) - F.one_hot(y, 4)
        mean_a += torch.outer(row, row) / 5
        mean_g += torch.outer(slope, slope) / 5
    torch.testing.assert_close(a, mean_a)
    torch.testing.assert_close(g, mean_g.detach())


@pytest.mark.parametrize("bias", [True, False])
def test_of_a_convolution_a_sums_over_positions_and_g_means_over_them(bias):
    """Written out position by position, with stride and padding; patches channel by channel."""
    layer = filled(nn.Conv2d(2, 3, (3, 2), stride=(2, 1), padding=(1, 0), bias=bias))
    inputs = normal(4, 2, 5, 4, seed=7)
    slopes = normal(*layer(inputs).shape, seed=8)
    padded = F.pad(inputs, (0, 0, 1, 1))
    width = 13 if bias else 12
    a, g = torch.zeros(width, width).double(), torch.zeros(3, 3).double()
    samples, _, rows, columns = slopes.shape
    assert (rows, columns) == (3, 3)
    for n in range(samples):
        for i in range(rows):
            for j in range(columns):
                patch = padded[n, :, 2 * i : 2 * i + 3, j : j + 2].flatten()
                patch = torch.cat([patch, torch.ones(width - 12)])
                a += torch.outer(patch, patch) / samples
                g += torch.outer(slopes[n, :, i, j], slopes[n, :, i, j]) / (samples * 9)
    found = factors(input_rows(layer, inputs), output_rows(layer, slopes))
    torch.testing.assert_close(found[0], a)
    torch.testing.assert_close(found[1], g)


def test_rows_times_the_weight_matrix_are_the_layer_s_outputs():
    layer = filled(nn.Conv2d(2, 3, 3, stride=2, padding=1, dilation=2))
    inputs = normal(4, 2, 7, 7)
    matrix = torch.cat([layer.weight.flatten(1), layer.bias[:, None]], dim=1)
    outputs = output_rows(layer, layer(inputs))
    torch.testing.assert_close(input_rows(layer, inputs) @ matrix.T, outputs)


def test_an_activation_in_place_leaves_the_recorded_outputs_alone():
    inputs, labels = normal(6, 3), torch.arange(6) % 3
    found = {}
    for inplace in (True, False):
        layers = (filled(nn.Linear(3, 4)), nn.ReLU(inplace=inplace), filled(nn.Linear(4, 3), 4))
        found[inplace] = found_factors(nn.Sequential(*layers), inputs, labels)
    for name, pair in found[False].items():
        for expected, other in zip(pair, found[True][name], strict=True):
            torch.testing.assert_close(other, expected, rtol=0, atol=0)


def test_hooks_are_gone_afterwards_also_after_an_error():
    layer = nn.Linear(3, 4)
    with pytest.raises(RuntimeError), recording({"0": layer}):
        layer(torch.zeros(1, 5))
    assert not layer._forward_hooks


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.Conv2d(4, 4, 3, groups=2), "groups = 2; allowed: 1"),
        (nn.Conv2d(4, 4, 3, padding="same"), "padding = 'same', padding_mode = 'zeros'; allowed"),
        (nn.Conv2d(4, 4, 3, padding_mode="reflect"), "padding_mode = 'reflect'; allowed: zeros"),
    ],
)
def test_a_convolution_without_factors_is_refused(layer, message):
    with pytest.raises(NoFactors, match=message):
        input_rows(layer, torch.zeros(1, 4, 5, 5))

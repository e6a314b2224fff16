"""Connections that come and go: what they compute with, and which gradients they get."""

import torch
from torch import nn
from torch.nn.utils import parametrize

from thin_ice.sparsity.rewiring import MovingMask, SignedRewiring

MASK = torch.tensor([[True, False], [False, True]])
INPUTS = torch.tensor([[1.0, 2.0]])


def layer(weight):
    module = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        module.weight.copy_(weight)
    return module


def test_a_moving_mask_hides_weights_and_lets_their_gradients_through():
    module, dense = layer(torch.ones(2, 2)), layer(MASK.float())
    parametrize.register_parametrization(module, "weight", MovingMask(MASK.clone()))
    assert torch.equal(module.weight, MASK.float())
    for one in (module, dense):
        (one(INPUTS) * torch.tensor([3.0, 5.0])).sum().backward()
    gradient = module.parametrizations.weight.original.grad
    assert torch.equal(gradient, dense.weight.grad)  # as if all weights were there
    assert gradient.all()


def test_a_weight_is_its_sign_times_theta_while_theta_is_positive():
    theta, sign = torch.tensor([[0.5, -0.3], [0.0, 1e-12]]), torch.tensor([[-1.0, 1], [1, -1]])
    module = layer(theta)
    parametrize.register_parametrization(module, "weight", SignedRewiring(sign))
    assert torch.equal(module.weight, torch.tensor([[-0.5, 0.0], [0.0, -1e-12]]))
    module.weight.sum().backward()
    expected = torch.tensor([[-1.0, 0.0], [0.0, -1.0]])  # through connected weights alone
    assert torch.equal(module.parametrizations.weight.original.grad, expected)

"""Products of two factors begin as the weight they stand for, and both factors are trained."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from thin_ice.sparsity.factors import FactorPair, MixedRows
from thin_ice.sparsity.parametrizations import export


def convolution():
    torch.manual_seed(0)
    module = nn.Conv2d(3, 4, 3)
    with torch.no_grad():
        module.weight[0, 0, 0, 0] = 0
    return module


@pytest.mark.parametrize("factors", [FactorPair, MixedRows])
def test_the_product_begins_as_the_weight_and_both_factors_get_gradients(factors):
    module, before = convolution(), convolution().weight.detach()
    parametrize.register_parametrization(module, "weight", factors())
    assert torch.allclose(module.weight, before, atol=1e-7)
    module.weight.square().sum().backward()
    first, second = module.parametrizations.weight.parameters()
    assert first.grad.any()
    assert second.grad.any()


def test_a_pair_begins_balanced_with_the_weight_s_sign_in_the_first():
    module = convolution()
    weight = module.weight.detach().clone()
    parametrize.register_parametrization(module, "weight", FactorPair())
    first, second = module.parametrizations.weight.parameters()
    assert torch.equal(first.abs(), second)
    assert torch.equal(first.sign(), weight.sign())


def test_rows_are_mixed_as_those_of_a_matrix():
    module = convolution()
    parametrize.register_parametrization(module, "weight", MixedRows())
    mixing, weight = module.parametrizations.weight.parameters()
    assert torch.equal(mixing, torch.eye(4))
    with torch.no_grad():
        mixing[0, 2] = 3.0
    expected = weight[0] + 3 * weight[2]
    assert torch.allclose(module.weight[0], expected, atol=1e-6)
    assert torch.allclose(module.weight[1:], weight[1:], atol=1e-6)


@pytest.mark.parametrize("factors", [FactorPair, MixedRows])
def test_the_export_is_an_ordinary_weight(factors):
    module = convolution()
    parametrize.register_parametrization(module, "weight", factors())
    own = module.weight.detach().clone()
    export(module)
    assert [name for name, _ in module.named_parameters()] == ["bias", "weight"]
    assert torch.equal(module.weight, own)

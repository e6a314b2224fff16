"""How a weight carries its mask, and how it becomes a plain weight again."""

from collections import Counter

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from thin_ice.sparsity.masks import kept_count, layerwise_masks
from thin_ice.sparsity.parametrizations import (
    FixedMask,
    TopKScore,
    export,
    fix_masks,
    parametrized_modules,
    weights_computed_once,
)
from thin_ice.sparsity.prunable import prunable_modules, prunable_weights


def magnitude_masks(model, sparsity):
    scores = {name: w.detach().abs() for name, w in prunable_weights(model).items()}
    return layerwise_masks(scores, sparsity)


def score_everything(model, sparsity, seed=0):
    """Put random trainable scores on every prunable weight, and return them by name."""
    stream = torch.Generator().manual_seed(seed)
    scores = {}
    for name, module in prunable_modules(model).items():
        module.weight.requires_grad_(False)
        values = torch.randn(module.weight.shape, generator=stream)
        scores[name] = TopKScore(values, kept_count(values.numel(), sparsity))
        parametrize.register_parametrization(module, "weight", scores[name])
    return scores


def images(n=6, seed=1):
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def originals(model):
    return {n: m.parametrizations.weight.original for n, m in prunable_modules(model).items()}


def test_fixed_mask_zeroes_what_is_masked_and_keeps_the_rest(network):
    before = {name: w.detach().clone() for name, w in prunable_weights(network).items()}
    masks = magnitude_masks(network, 0.7)
    fix_masks(network, masks)
    for name, weight in prunable_weights(network).items():
        assert torch.equal(weight, before[name] * masks[name])
        assert torch.equal(originals(network)[name], before[name] * masks[name])


def test_masked_weights_get_no_gradient_and_the_others_do(network):
    masks = magnitude_masks(network, 0.5)
    fix_masks(network, masks)
    network(images()).square().sum().backward()
    for name, weight in originals(network).items():
        assert not weight.grad[~masks[name]].any()
        assert weight.grad[masks[name]].any()


def test_masked_weights_stay_zero_through_momentum_and_weight_decay(network):
    masks = magnitude_masks(network, 0.5)
    fix_masks(network, masks)
    before = {name: w.detach().clone() for name, w in prunable_weights(network).items()}
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    for step in range(4):
        optimizer.zero_grad()
        network(images(seed=step)).square().mean().backward()
        optimizer.step()
    for name, weight in originals(network).items():
        assert not weight[~masks[name]].any()
        assert not torch.equal(weight, before[name])


@pytest.mark.parametrize("name", ["block1.conv.bias", "block1.bn.running_var", "weight"])
def test_a_mask_for_what_is_no_parameter_is_refused(network, name):
    with pytest.raises(KeyError, match=name):
        fix_masks(network, {name: torch.ones(4, dtype=torch.bool)})


def test_biases_and_norms_carry_masks_through_training_and_export(network):
    masks = {
        name: torch.tensor([True, False, False, True])
        for name in ("block1.bn.weight", "block1.bn.bias")
    }
    masks["linear.bias"] = torch.arange(10) < 3
    fix_masks(network, masks)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    for step in range(3):
        optimizer.zero_grad()
        with weights_computed_once(network):
            network(images(seed=step)).square().mean().backward()
        optimizer.step()
    before = network(images())
    export(network)
    assert not parametrized_modules(network)
    assert torch.equal(network(images()), before)
    parameters = dict(network.named_parameters())
    for name, mask in masks.items():
        assert torch.equal(parameters[name] != 0, mask), name


def test_masked_norms_get_their_gradient_after_a_first_pass_without_one(network):
    fix_masks(network, {"block1.bn.weight": torch.tensor([True, True, True, False])})
    with weights_computed_once(network):
        with torch.no_grad():
            network(images())
        network(images()).square().sum().backward()
    gradient = network.block1.bn.parametrizations.weight.original.grad
    assert (gradient != 0).tolist() == [True, True, True, False]


def test_each_parameter_of_a_module_is_computed_once(network):
    ones = torch.ones(4, dtype=torch.bool)
    fix_masks(network, {"block1.bn.weight": ones, "block1.bn.bias": ones})
    calls = calls_of(network, FixedMask)
    with weights_computed_once(network):
        for _ in range(3):
            network(images())
    assert list(calls.values()) == [1, 1]


def test_top_k_score_by_hand():
    weight = torch.tensor([[2.0, -1.0], [3.0, 0.5]])
    score = TopKScore(torch.tensor([[0.3, -0.9], [0.1, -0.5]]), keep=2)
    masked = score(weight)
    assert torch.equal(masked, torch.tensor([[0.0, -1.0], [0.0, 0.5]]))
    assert torch.equal(score.mask(), torch.tensor([[False, True], [False, True]]))
    # L = sum c * w * m: dL/dm = c * w = [2, -2, -3, 2], dL/ds = sign(s) * dL/dm everywhere.
    (torch.tensor([[1.0, 2.0], [-1.0, 4.0]]) * masked).sum().backward()
    assert torch.equal(score.scores.grad, torch.tensor([[2.0, 2.0], [-3.0, -2.0]]))


def test_scores_train_and_the_weight_under_them_is_frozen(network):
    scores = score_everything(network, 0.5)
    network(images()).square().sum().backward()
    assert all(weight.grad is None for weight in originals(network).values())
    assert all(score.scores.grad.any() for score in scores.values())


def test_score_gradient_is_sign_times_mask_gradient_in_a_real_network(network):
    scores = score_everything(network, 0.5)
    name, module = "linear.weight", network.linear
    with parametrize.cached():
        masked = module.weight
        masked.retain_grad()
        network(images()).square().sum().backward()
    weight = originals(network)[name]
    expected = scores[name].scores.sign() * masked.grad * weight
    torch.testing.assert_close(scores[name].scores.grad, expected)


def calls_of(model, kind):
    """Count how often each parametrization of the kind runs."""
    calls = Counter()
    for name, module in model.named_modules():
        if isinstance(module, kind):
            module.register_forward_hook(lambda *_, name=name: calls.update([name]))
    return calls


def test_each_mask_is_computed_once_for_many_forward_passes(network):
    score_everything(network, 0.5)
    calls = calls_of(network, TopKScore)
    with weights_computed_once(network):
        for _ in range(5):
            network(images())
    assert list(calls.values()) == [1, 1, 1, 1]


def test_the_next_step_computes_its_masks_anew(network):
    scores = score_everything(network, 0.5)
    with weights_computed_once(network):
        before = network(images())
    with torch.no_grad():
        for score in scores.values():
            score.scores.copy_(1 / score.scores)
    with weights_computed_once(network):
        assert not torch.equal(network(images()), before)


def test_weights_computed_once_are_those_computed_each_time(network):
    score_everything(network, 0.5)
    network.eval()
    plain = network(images())
    with weights_computed_once(network):
        assert torch.equal(network(images()), plain)


def test_scores_get_gradients_though_the_first_pass_is_without_them(network):
    scores = score_everything(network, 0.5)
    with weights_computed_once(network):
        with torch.no_grad():
            network(images())
        network(images()).square().sum().backward()
    assert all(score.scores.grad.any() for score in scores.values())


def test_gradients_add_up_over_the_passes_of_one_step(network):
    scores = score_everything(network, 0.5)
    network.eval()
    (network(images()).square().sum() + network(images(seed=2)).sum()).backward()
    expected = {name: score.scores.grad.clone() for name, score in scores.items()}
    network.zero_grad()
    with weights_computed_once(network):
        (network(images()).square().sum() + network(images(seed=2)).sum()).backward()
    for name, score in scores.items():
        torch.testing.assert_close(score.scores.grad, expected[name])


@pytest.mark.parametrize("carrier", ["fixed", "scores"])
def test_export_gives_plain_parameters_with_the_same_logits_to_the_last_bit(network, carrier):
    names = list(network.state_dict())
    if carrier == "fixed":
        fix_masks(network, magnitude_masks(network, 0.9))
    else:
        score_everything(network, 0.9)
    network.eval()
    own = network(images())
    assert len(parametrized_modules(network)) == 4
    export(network)
    assert torch.equal(network(images()), own)
    assert not parametrized_modules(network)
    assert sorted(network.state_dict()) == sorted(names)
    for weight in prunable_weights(network).values():
        assert isinstance(weight, nn.Parameter)
        assert int(weight.count_nonzero()) == kept_count(weight.numel(), 0.9)


def test_export_leaves_a_plain_network_alone(network):
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    export(network)
    assert all(torch.equal(tensor, before[n]) for n, tensor in network.state_dict().items())

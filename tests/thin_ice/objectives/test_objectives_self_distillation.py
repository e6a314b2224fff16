"""Self-distillation with the HSIC bottleneck, against its formula and for every architecture."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from thin_ice import tables
from thin_ice.models.network import Architecture
from thin_ice.objectives.hidden import with_hidden
from thin_ice.objectives.hsic import gaussian_kernel, hsic, linear_kernel, normalized_hsic
from thin_ice.objectives.self_distillation import SelfDistillation, distillation
from thin_ice.sparsity.masks import layerwise_masks
from thin_ice.sparsity.parametrizations import fix_masks, weights_computed_once
from thin_ice.sparsity.prunable import prunable_weights

# Activations that convolutions and linear layers read, counted by hand from the papers' drawings.
HIDDEN = {
    "digits_cnn": 3,  # of three blocks
    "cnn_small": 3,  # of two convolutions and the hidden linear layer
    "cnn_large": 6,
    "resnet18": 1 + 8 + 7 + 1,  # stem, within blocks, after all blocks but the last, pooled
    "vgg16_bn": 13 + 2,
    "wrn": 3 * 2 + 1,  # before and within each of three blocks, pooled
}
SMALL = {"resnet18": {"width": 2}, "vgg16_bn": {"width": 1}, "wrn": {"depth": 10, "width": 1}}


def network_of(kind, normalize=False):
    options = SMALL.get(kind, {"width": 2})
    return Architecture(kind, options, (1, 16, 16), 10, normalize).build(seed=0)


def test_distillation_by_hand():
    logits, soft = torch.tensor([[2.0, 0.0], [1.0, 1.0]]), torch.tensor([[0.0, 0.0], [2.0, 0.0]])
    own, other = 1 / (1 + math.exp(-1.0)), 0.5  # softmax at temperature 2
    first = other * math.log(other / own) + (1 - other) * math.log((1 - other) / (1 - own))
    second = own * math.log(own / other) + (1 - own) * math.log((1 - own) / (1 - other))
    expected = 4 * (first + second) / 2
    assert abs(first - second) > 0.005
    assert distillation(logits, soft, 2.0).item() == pytest.approx(expected, rel=1e-6)


def test_distillation_at_a_high_temperature_is_the_distance_of_centred_logits():
    logits, soft = torch.randn(2, 5, 10, generator=torch.Generator().manual_seed(0)).double()
    apart = (logits - soft) - (logits - soft).mean(1, keepdim=True)
    expected = apart.square().sum(1).mean() / (2 * 10)
    found = distillation(logits, soft, 100.0)
    assert found.item() == pytest.approx(expected.item(), rel=0.02)


@pytest.mark.parametrize("kind", tables.ARCHITECTURES)
@pytest.mark.parametrize("normalize", [False, True])
def test_hidden_activations_are_what_every_layer_but_the_first_reads(kind, normalize):
    model, images = network_of(kind, normalize).eval(), torch.rand(3, 1, 16, 16)
    logits, hidden = with_hidden(model, images)
    assert torch.equal(logits, model(images))
    assert len(hidden) == HIDDEN[kind]
    assert all(one.ndim == 2 and len(one) == 3 and one.requires_grad for one in hidden)
    classifier = [m for m in model.modules() if isinstance(m, nn.Linear)][-1]
    torch.testing.assert_close(classifier(hidden[-1]), logits)
    assert not any(m._forward_pre_hooks for m in model.modules())


def test_hooks_are_taken_off_again_where_the_network_fails():
    model = network_of("digits_cnn")
    with pytest.raises(RuntimeError):
        with_hidden(model, torch.rand(3, 2, 16, 16))
    assert not any(m._forward_pre_hooks for m in model.modules())


def test_masked_weights_are_what_the_activations_come_from():
    model, images = network_of("resnet18").eval(), torch.rand(3, 1, 16, 16)
    weights = {name: w.detach().abs() for name, w in prunable_weights(model).items()}
    fix_masks(model, layerwise_masks(weights, 0.3))
    with weights_computed_once(model):
        _, hidden = with_hidden(model, images)
    x = F.conv2d(images, model.conv1.weight, padding=1)
    torch.testing.assert_close(hidden[0], F.relu(model.bn1(x)).flatten(1))
    hidden[-1].sum().backward()
    original = model.layer4[1].conv2.parametrizations.weight.original
    assert original.grad.any()


@pytest.fixture
def teaching(network, step):
    """A network, another one that teaches it, and the moment."""
    teacher = Architecture("digits_cnn", {"width": 4}, (1, 8, 8), 10, False).build(seed=1).eval()
    teacher.requires_grad_(False)
    return network, teacher, step(teacher=teacher)


@pytest.mark.parametrize("estimator", ["normalized", "biased"])
@pytest.mark.parametrize(("lambda_x", "lambda_y"), [(0.2, 0.7), (0.2, 0.0), (0.0, 0.7)])
def test_the_loss_is_distillation_plus_the_bottleneck(
    teaching, images, labels, estimator, lambda_x, lambda_y
):
    network, teacher, moment = teaching
    other = copy.deepcopy(network)
    weights = {"cross_entropy": 0.5, "lambda_x": lambda_x, "lambda_y": lambda_y}
    objective = SelfDistillation(temperature=3.0, sigma=2.0, estimator=estimator, **weights)
    loss = objective.loss(network, images, labels, moment)

    first = other.block1(images)
    second = other.block2(first)
    third = other.block3(second)
    logits = other.linear(third.flatten(1))
    p, q = (logits / 3).softmax(1), (teacher(images) / 3).softmax(1)
    expected = 9 * (q * (q.log() - p.log())).sum(1).mean() + 0.5 * F.cross_entropy(logits, labels)
    estimate = {"normalized": normalized_hsic, "biased": hsic}[estimator]
    seen = gaussian_kernel(images.flatten(1), 2.0)
    told = linear_kernel(torch.eye(10)[labels])
    for z in (first, second, third):
        kernel = gaussian_kernel(z.flatten(1), 2.0)
        expected = expected + lambda_x * estimate(kernel, seen)
        expected = expected - lambda_y * estimate(kernel, told)
    torch.testing.assert_close(loss.value, expected, check_dtype=False)
    assert int(loss.correct) == int((logits.argmax(1) == labels).sum())
    assert loss.value.dtype == torch.float32
    loss.value.backward()
    expected.backward()
    for mine, plain in zip(network.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, plain.grad, rtol=1e-3, atol=1e-6)


def test_the_teacher_gets_no_gradient_and_is_not_changed(teaching, images, labels):
    network, teacher, moment = teaching
    teacher.requires_grad_(True)  # even of one that is not frozen nothing is asked
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    SelfDistillation().loss(network, images, labels, moment).value.backward()
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    assert not teacher.training


def test_a_network_that_is_its_teacher_has_nothing_to_learn_from_it(network, images, labels, step):
    teacher = copy.deepcopy(network.eval()).requires_grad_(False)
    objective = SelfDistillation(lambda_x=0.0, lambda_y=0.0)
    value = objective.loss(network, images, labels, step(teacher=teacher)).value
    assert value.item() == pytest.approx(0, abs=1e-5)


def test_no_image_is_attacked_for_the_loss(teaching, images, labels, monkeypatch):
    network, _, moment = teaching

    def crafting(*_arguments):
        raise AssertionError("an adversary in a step of training")

    monkeypatch.setattr("thin_ice.objectives.base.Adversary.craft", crafting)
    SelfDistillation().loss(network, images, labels, moment)


def test_half_precision_distils_in_full_precision(teaching, images, labels):
    network, _, moment = teaching
    full = SelfDistillation().loss(copy.deepcopy(network), images, labels, moment).value
    with torch.autocast("cpu", torch.bfloat16):
        half = SelfDistillation().loss(network, images, labels, moment).value
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(full.item(), rel=0.05)


def test_kernels_are_never_of_half_precision(network, images, labels):
    objective, one_hot = SelfDistillation(), F.one_hot(labels, 10)
    _, hidden = with_hidden(network, images)
    full = objective._bottleneck(images, one_hot, hidden)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(objective._bottleneck(images, one_hot, hidden), full)


def test_defaults_are_those_of_the_released_scripts():
    found = SelfDistillation()
    assert (found.temperature, found.cross_entropy) == (30.0, 0.0)
    assert (found.lambda_x, found.lambda_y, found.sigma) == (2e-5, 1e-4, 5.0)
    assert (found.steps, found.rel_step) == (10, 0.25)

"""Laws that every objective of the table keeps."""

import copy
import dataclasses
import math

import pytest
import torch

from thin_ice import tables
from thin_ice.attacks.balls import LP_NORM
from thin_ice.attacks.threat import ThreatModel

PASSES = {  # of the training network per step, all in training mode
    "natural": 1,
    "pgd_at": 1,
    "trades": 2,
    "mart": 2,
    "self_distillation": 1,
}
walks = pytest.mark.parametrize("name", tables.OBJECTIVES)


def objective(name, **options):
    kind = tables.load("objectives", name)
    if name != "natural":
        options = {"steps": 3, **options}
    return kind(**options)


def buffers(model):
    return {name: b.clone() for name, b in model.named_buffers()}


@walks
def test_the_loss_is_finite_and_its_gradient_reaches_every_parameter(
    network, images, labels, step, name
):
    loss = objective(name).loss(network, images, labels, step())
    assert loss.value.shape == ()
    assert math.isfinite(loss.value.item())
    assert all(p.grad is None for p in network.parameters()), "crafting left gradients"
    loss.value.backward()
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())


@walks
def test_correct_counts_predictions_and_stays_out_of_the_graph(network, images, labels, step, name):
    loss = objective(name).loss(network, images, labels, step())
    assert loss.correct.shape == ()
    assert 0 <= int(loss.correct) <= len(labels)
    assert not loss.correct.requires_grad


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("natural", True),
        ("trades", True),
        ("pgd_at", False),
        ("mart", False),
        ("self_distillation", True),
    ],
)
def test_correct_counts_clean_or_adversarial_predictions_as_the_loss_takes_them(
    network, images, step, name, clean
):
    labels = copy.deepcopy(network)(images).argmax(1)  # the network is right on clean images
    moment = dataclasses.replace(step(), threat=ThreatModel("Linf", 0.3))
    correct = int(objective(name).loss(network, images, labels, moment).correct)
    assert (correct == len(labels)) == clean


@walks
def test_the_network_is_in_training_mode_and_trainable_afterwards(
    network, images, labels, step, name
):
    objective(name).loss(network, images, labels, step())
    objective(name).perturb(network, images, labels, step())
    assert all(module.training for module in network.modules())
    assert all(p.requires_grad for p in network.parameters())


@walks
def test_equal_generators_give_the_same_loss_and_gradients_to_the_last_bit(
    network, images, labels, step, name
):
    found = []
    for _ in range(2):
        model = copy.deepcopy(network)
        value = objective(name).loss(model, images, labels, step(seed=4)).value
        value.backward()
        found.append([value.detach(), *(p.grad for p in model.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@walks
def test_the_global_random_state_is_neither_used_nor_moved(network, images, labels, step, name):
    losses = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        model = copy.deepcopy(network)
        losses.append(objective(name).loss(model, images, labels, step()).value)
        assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(*losses)


@walks
@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_perturbed_images_lie_in_the_ball_and_in_the_box(network, images, labels, step, name, norm):
    moment = step(norm)
    attacked = objective(name).perturb(network, images, labels, moment)
    size = LP_NORM[norm](attacked - images)
    assert (size <= moment.threat.eps + 1e-6).all()
    assert attacked.min() >= 0
    assert attacked.max() <= 1
    assert not attacked.requires_grad
    assert objective(name).robust == bool(size.any())


@walks
def test_perturbing_is_done_in_evaluation_mode_and_moves_no_statistics(
    network, images, labels, step, name
):
    before = buffers(network)
    objective(name).perturb(network, images, labels, step())
    assert all(torch.equal(b, before[n]) for n, b in network.named_buffers())


@walks
def test_batch_norm_sees_each_pass_of_the_loss_once_and_none_of_the_attack(
    network, images, labels, step, name
):
    before = int(network.block1.bn.num_batches_tracked)
    objective(name).loss(network, images, labels, step())
    assert int(network.block1.bn.num_batches_tracked) - before == PASSES[name]


@pytest.mark.parametrize("name", [n for n in tables.OBJECTIVES if objective(n).robust])
def test_the_adversary_s_strength_follows_the_threat_model(network, images, labels, step, name):
    attacked = objective(name, steps=20).perturb(network, images, labels, step())
    assert LP_NORM["Linf"](attacked - images).mean() > 0.9 * step().threat.eps

"""Laws that every objective of the table keeps."""

import copy
import dataclasses
import math

import pytest
import torch

from thin_ice import tables
from thin_ice.attacks.balls import LP_NORM
from thin_ice.attacks.threat import ThreatModel
from thin_ice.study.options import entry
from thin_ice.verification.margins import verified

PASSES = {  # of the training network per step, all in training mode
    "natural": 1,
    "pgd_at": 1,
    "trades": 2,
    "mart": 2,
    "n_fgsm": 2,  # its attack is in training mode, as published
    "free_at": 2,  # where nobody keeps its perturbation, which it then makes in training mode
    "self_distillation": 1,
    "ibp": 1,
    "crown_ibp": 1,
    "mixtrain": 1,
    "smoothing": 2,
}
STEPPED = [name for name in tables.OBJECTIVES if "steps" in entry("objectives", name).options]
walks = pytest.mark.parametrize("name", tables.OBJECTIVES)


def objective(name, **options):
    if name in STEPPED:
        options = {"steps": 3, **options}
    return tables.load("objectives", name)(**options)


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
        ("n_fgsm", False),
        ("free_at", False),
        ("self_distillation", True),
        ("ibp", True),
        ("crown_ibp", True),
        ("mixtrain", False),
        ("smoothing", True),
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
    assert (objective(name).goal != "benign") == bool(size.any())


@walks
def test_perturbing_is_done_in_evaluation_mode_and_moves_no_statistics(
    network, images, labels, step, name
):
    before = buffers(network)
    objective(name).perturb(network, images, labels, step())
    assert all(torch.equal(b, before[n]) for n, b in network.named_buffers())


@walks
def test_batch_norm_sees_each_pass_of_the_loss_and_none_of_an_attack_in_evaluation_mode(
    network, images, labels, step, name
):
    before = int(network.block1.bn.num_batches_tracked)
    objective(name).loss(network, images, labels, step())
    assert int(network.block1.bn.num_batches_tracked) - before == PASSES[name]


@pytest.mark.parametrize("name", [n for n in tables.OBJECTIVES if objective(n).goal != "benign"])
def test_the_adversary_s_strength_follows_the_threat_model(network, images, labels, step, name):
    more = {"steps": 20} if name in STEPPED else {}
    attacked = objective(name, **more).perturb(network, images, labels, step())
    assert LP_NORM["Linf"](attacked - images).mean() > 0.9 * step().threat.eps


@walks
def test_what_withstands_is_told_of_each_input_in_evaluation_mode(
    network, images, labels, step, name
):
    before = buffers(network)
    found = objective(name).withstands(network, images, labels, step())
    assert (found.dtype, found.shape) == (torch.bool, (len(images),))
    assert all(torch.equal(b, before[n]) for n, b in network.named_buffers())
    assert all(module.training for module in network.modules())
    assert all(p.grad is None for p in network.parameters())


@pytest.mark.parametrize("name", [n for n in tables.OBJECTIVES if objective(n).goal == "empirical"])
def test_withstanding_empirically_is_to_be_right_under_the_own_adversary(
    network, images, step, name
):
    for _ in range(20):  # so that predictions differ
        network(images)
    labels = copy.deepcopy(network).eval()(images).argmax(1)
    moment = dataclasses.replace(step(), threat=ThreatModel("Linf", 0.04))
    found = objective(name).withstands(network, images, labels, moment)
    again = dataclasses.replace(moment, generator=step().generator)
    attacked = objective(name).perturb(network, images, labels, again)
    assert torch.equal(found, network.eval()(attacked).argmax(1) == labels)
    assert 0 < int(found.sum()) < len(images)


@pytest.mark.parametrize("name", [n for n in tables.OBJECTIVES if objective(n).goal == "verified"])
def test_withstanding_for_sure_is_to_be_verified_on_the_whole_ball(network, images, step, name):
    labels = copy.deepcopy(network).eval()(images).argmax(1)
    early = dataclasses.replace(step(), threat=ThreatModel("Linf", 1e-4), progress=0.0)
    found = objective(name).withstands(network, images, labels, early)
    bounds = tables.load("objectives", name).bounds
    assert torch.equal(found, verified(network, images, labels, early.threat, bounds))
    assert found.any()
    assert not objective(name, eps=0.3).withstands(network, images, labels, early).any()


@walks
def test_half_precision_trains_on_what_full_precision_does_nearly(
    network, images, labels, step, name
):
    full = objective(name).loss(copy.deepcopy(network), images, labels, step()).value
    with torch.autocast("cpu", torch.bfloat16):
        half = objective(name).loss(copy.deepcopy(network), images, labels, step()).value
    assert half.item() == pytest.approx(full.item(), rel=0.1)
    if objective(name).goal == "verified" and name not in STEPPED:
        assert torch.equal(half, full)  # bounds know no half precision

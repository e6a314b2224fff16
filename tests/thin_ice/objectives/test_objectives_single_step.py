"""N-FGSM and free adversarial training against their equations, written out here in plain torch."""

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from thin_ice.attacks.balls import LP_NORM
from thin_ice.objectives.base import Adversary, cross_entropy_of
from thin_ice.objectives.free_at import FreeAt
from thin_ice.objectives.n_fgsm import NFgsm

EPS = 16 / 255  # of the threat model that the tests of this folder share


@pytest.fixture
def network(network):
    """In double precision, so that rounding turns no sign of a small gradient."""
    return network.double()


@pytest.fixture
def images(images):
    return images.double()


def sign_of_gradient(model, x, labels):
    x = x.clone().requires_grad_(True)
    F.cross_entropy(model(x), labels).backward()
    model.zero_grad()
    return x.grad.sign()


def assert_same(found, expected, network, other):
    torch.testing.assert_close(found, expected)
    found.backward()
    expected.backward()
    for mine, plain in zip(network.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, plain.grad)
    for mine, plain in zip(network.buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(mine, plain)


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize(("noise", "rel_step"), [(2.0, 1.0), (1.0, 1.25), (0.0, 1.0)])
def test_n_fgsm_is_noise_and_one_step_clipped_to_the_box_alone(
    network, images, labels, step, noise, rel_step, mode
):
    other = copy.deepcopy(network)
    stream = torch.Generator().manual_seed(4)
    eta = torch.empty_like(images).uniform_(-noise * EPS, noise * EPS, generator=stream)
    augmented = (images + eta).clamp(0, 1)
    signs = sign_of_gradient(other.train(mode == "train"), augmented, labels)
    adversarial = (augmented + rel_step * EPS * signs).clamp(0, 1)
    logits = other.train()(adversarial)
    objective = NFgsm(noise=noise, rel_step=rel_step, mode=mode)
    loss = objective.loss(network, images, labels, step(seed=4))
    assert int(loss.correct) == int((logits.argmax(1) == labels).sum())
    assert_same(loss.value, F.cross_entropy(logits, labels), network, other)


def test_by_default_n_fgsm_is_the_published_one():
    assert vars(NFgsm()) == {"noise": 2.0, "rel_step": 1.0, "mode": "train"}


def test_n_fgsm_trains_outside_the_ball_and_inside_the_box(network, images, labels, step):
    size = LP_NORM["Linf"](NFgsm().craft(network, images, labels, step()) - images)
    assert (size > 1.5 * EPS).all()
    assert (size <= 3 * EPS + 1e-9).all()
    crafted = NFgsm(noise=20.0).craft(network, images, labels, step())
    assert (crafted.min(), crafted.max()) == (0, 1)


def test_without_noise_it_is_fgsm_within_the_ball(network, images, labels, step):
    crafted = NFgsm(noise=0.0).craft(network, images, labels, step())
    expected = (images + EPS * sign_of_gradient(network, images, labels)).clamp(0, 1)
    torch.testing.assert_close(crafted, expected)


def test_in_l2_noise_and_step_are_of_the_norms_own_lengths(network, images, labels, step):
    """Of grey images, which the box leaves room."""
    grey, moment = torch.full_like(images, 0.5), step("L2")
    eps = moment.threat.eps
    still = NFgsm(noise=0.0).craft(network, grey, labels, moment) - grey
    torch.testing.assert_close(LP_NORM["L2"](still), torch.full((12,), eps).double())
    size = LP_NORM["L2"](NFgsm().craft(network, grey, labels, moment) - grey)
    assert (size > eps).all()
    assert (size <= 3 * eps + 1e-9).all()


@pytest.mark.parametrize("objective", [NFgsm(), NFgsm(noise=0.0), FreeAt()])
def test_what_withstands_is_judged_by_ten_steps_of_pgd_not_by_the_one(
    network, images, labels, step, objective
):
    pgd = Adversary(10, 0.25, "uniform").craft(network, images, cross_entropy_of(labels), step())
    assert torch.equal(objective.perturb(network, images, labels, step()), pgd)
    labels = network.eval()(images).argmax(1)
    attacked = objective.perturb(network, images, labels, step())
    expected = network(attacked).argmax(1) == labels
    assert torch.equal(objective.withstands(network, images, labels, step()), expected)
    own = objective.craft(network, images, labels, step())
    found = objective.withstands_one_step(network, images, labels, step())
    assert torch.equal(found, network(own).argmax(1) == labels)


def algorithm_1(model, batches, replays, lr):
    """Shafahi et al. 2019, with plain SGD; delta as long as the longest batch."""
    delta, losses = torch.zeros_like(max((x for x, _ in batches), key=len)), []
    for x, y in batches:
        for _ in range(replays):
            noise = delta[: len(x)].clone().requires_grad_(True)
            loss = F.cross_entropy(model((x + noise).clamp(0, 1)), y)
            model.zero_grad()
            loss.backward()
            delta[: len(x)] += EPS * noise.grad.sign()
            delta.clamp_(-EPS, EPS)
            with torch.no_grad():
                for weight in model.parameters():
                    weight -= lr * weight.grad
            losses.append(loss.detach())
    return losses, delta


def test_free_at_is_algorithm_1_over_batches_of_several_sizes(network, images, labels, step):
    other, lr, replays = copy.deepcopy(network), 0.1, 3
    batches = [(images, labels), (1 - images[:7], labels[:7]), (images.flip(0), labels.flip(0))]
    expected, delta = algorithm_1(other, batches, replays, lr)
    objective, moment = FreeAt(replays=replays), replace(step(), memory={})
    optimizer, found = torch.optim.SGD(network.parameters(), lr), []
    for x, y in batches:
        for _ in range(objective.replays):
            loss = objective.loss(network, x, y, moment)
            optimizer.zero_grad()
            loss.value.backward()
            optimizer.step()
            found.append(loss.value.detach())
    torch.testing.assert_close(torch.stack(found), torch.stack(expected))
    torch.testing.assert_close(moment.memory["delta"], delta)
    for mine, plain in zip(network.state_dict().values(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, plain)
    assert 0 < delta.abs().max() <= EPS


def test_of_a_larger_batch_the_rest_begins_at_zero(network, images, labels, step):
    moment = replace(step(), memory={"delta": torch.full_like(images[:5], 0.01)})
    FreeAt().loss(network, images, labels, moment)
    delta = moment.memory["delta"]
    assert len(delta) == len(images)
    assert (delta[:5] == 0.01).all()
    assert not delta[5:].any()


def test_the_gradient_alone_moves_the_perturbation(network, images, labels, step):
    moment = replace(step(), memory={})
    loss = FreeAt().loss(network, images, labels, moment)
    assert not moment.memory["delta"].any()
    loss.value.backward()
    assert moment.memory["delta"].any()
    assert not moment.memory["delta"].requires_grad


def test_the_images_that_free_at_trains_on_stay_in_the_box(network, images, labels, step):
    seen = []
    network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    moment = replace(step(), memory={"delta": torch.full_like(images, EPS)})
    FreeAt().loss(network, images, labels, moment)
    assert seen[0].max() == 1
    assert torch.equal(seen[0], (images + EPS).clamp(0, 1))


def test_in_l2_the_perturbation_stays_in_the_ball(network, images, labels, step):
    moment = replace(step("L2"), memory={})
    for _ in range(4):
        FreeAt().loss(network, images, labels, moment).value.backward()
    size = LP_NORM["L2"](moment.memory["delta"])
    torch.testing.assert_close(size, torch.full((12,), moment.threat.eps).double())


def test_where_nobody_remembers_free_at_takes_one_step_from_zero(network, images, labels, step):
    other = copy.deepcopy(network)
    attacked = (images + EPS * sign_of_gradient(other, images, labels)).clamp(0, 1)
    loss = FreeAt().loss(network, images, labels, step())
    assert_same(loss.value, F.cross_entropy(other(attacked), labels), network, other)

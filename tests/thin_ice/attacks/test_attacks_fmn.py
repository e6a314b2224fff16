"""FMN finds least perturbations: the closed form where there is one, honest failures elsewhere."""

import copy
import math

import pytest
import torch
from torch import nn

from thin_ice.attacks.balls import DUAL_NORM, LP_NORM
from thin_ice.attacks.fmn import fmn
from thin_ice.attacks.minimum_norm import margin

NORMS = ["Linf", "L2"]


def linear(classes, seed=0):
    """A linear classifier whose boundaries pass near the grey image."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, classes))
    stream = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        model[1].weight.copy_(torch.randn(classes, 64, generator=stream))
        model[1].bias.copy_(-0.5 * model[1].weight.sum(1))
    return model.eval().requires_grad_(False)


def greys(n, seed=1):
    """Images near the middle of the box, so that it does not bind."""
    noise = torch.randn(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    return (0.5 + 0.05 * noise).clamp(0.2, 0.8)


ROUNDING = 1e-6  # of float32 logits, in units of images; some samples lie nearer than 1e-4


def closed_form(model, images, labels, norm):
    """|z_y - z_j| / ||w_y - w_j||_q, least over j: exact where correct, or with two classes."""
    weight, logits = model[1].weight, model(images)
    distances = torch.full_like(logits, math.inf)
    for j in range(logits.shape[1]):
        other = (labels != j).nonzero().squeeze(1)
        gap = logits[other, labels[other]] - logits[other, j]
        slope = DUAL_NORM[norm](weight[labels[other]] - weight[j])
        distances[other, j] = gap.abs() / slope
    return distances.amin(1)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("stepsize", [1.0, 10.0])
def test_correct_samples_of_a_linear_classifier_meet_the_closed_form(norm, stepsize):
    model, images = linear(10), greys(40)
    labels = model(images).argmax(1)
    exact = closed_form(model, images, labels, norm)
    found = fmn(model, images, labels, norm, steps=200, max_stepsize=stepsize)
    assert (found.distance > 0.999 * exact - ROUNDING).all()
    assert (found.distance / exact).median() < 1.01


@pytest.mark.parametrize("norm", NORMS)
def test_where_another_class_is_nearer_the_runner_up_s_boundary_is_met(norm):
    model, images = linear(3), greys(60)
    logits = model(images)
    best = logits.topk(2, dim=1)
    slope = model[1].weight[best.indices[:, 0]] - model[1].weight[best.indices[:, 1]]
    runner_up = (best.values[:, 0] - best.values[:, 1]) / DUAL_NORM[norm](slope)
    exact = closed_form(model, images, best.indices[:, 0], norm)
    assert (runner_up > 1.01 * exact).sum() >= 5
    found = fmn(model, images, best.indices[:, 0], norm, steps=200, max_stepsize=1.0)
    assert (found.distance < 1.01 * runner_up + ROUNDING).all()


@pytest.mark.parametrize("norm", NORMS)
def test_misclassified_samples_of_a_linear_classifier_meet_the_closed_form(norm):
    model, images = linear(2), greys(40)
    labels = 1 - model(images).argmax(1)
    exact = closed_form(model, images, labels, norm)
    found = fmn(model, images, labels, norm, steps=200, max_stepsize=1.0)
    assert (found.distance > 0.999 * exact - ROUNDING).all()
    assert (found.distance / exact).median() < 1.01
    assert (model(found.adversarial).argmax(1) == labels).all()


@pytest.mark.parametrize("norm", NORMS)
def test_a_flip_is_in_the_box_really_flips_and_is_as_far_as_it_says(trained, digits, norm):
    split = digits["test"].head(120)
    images, labels = split.floats(), split.labels
    labels = torch.where(torch.arange(120) < 20, (labels + 1) % 10, labels)  # 20 misclassified
    found = fmn(trained, images, labels, norm, steps=40, max_stepsize=1.0)
    right = trained(images).argmax(1) == labels
    assert 20 <= (~right).sum() < 60
    succeeded = found.distance.isfinite()
    assert succeeded.sum() > 110
    assert found.adversarial.min() >= 0
    assert found.adversarial.max() <= 1
    flipped = (trained(found.adversarial).argmax(1) == labels) != right
    assert torch.equal(flipped, succeeded)
    size = LP_NORM[norm](found.adversarial - images)
    torch.testing.assert_close(size[succeeded], found.distance[succeeded], rtol=1e-5, atol=1e-6)
    assert torch.equal(found.adversarial[~succeeded], images[~succeeded])


@pytest.mark.parametrize("norm", NORMS)
def test_more_steps_find_smaller_flips(trained, digits, norm):
    split = digits["test"].head(60)
    few, many = (
        fmn(trained, split.floats(), split.labels, norm, steps, 1.0).distance for steps in (5, 60)
    )
    assert many.median() < few.median()


class Constant(nn.Module):
    """The same logits for every image, with a zero gradient."""

    def forward(self, images):
        return 0 * images.flatten(1)[:, :3] + torch.tensor([0.0, 1.0, 0.0])


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("label", [0, 1])
def test_failure_is_an_infinite_distance_with_the_clean_image(images, norm, label):
    labels = torch.full((len(images),), label)
    found = fmn(Constant(), images, labels, norm, steps=10, max_stepsize=1.0)
    assert found.distance.isinf().all()
    assert torch.equal(found.adversarial, images)


@pytest.mark.parametrize("norm", NORMS)
def test_no_sample_s_result_depends_on_its_batch_mates(trained, digits, norm):
    model, split = copy.deepcopy(trained).double(), digits["test"].head(8)
    images, labels = split.floats().double(), split.labels
    together = fmn(model, images, labels, norm, steps=25, max_stepsize=1.0)
    for i in range(8):
        alone = fmn(model, images[i : i + 1], labels[i : i + 1], norm, 25, 1.0)
        torch.testing.assert_close(alone.distance, together.distance[i : i + 1])
        torch.testing.assert_close(alone.adversarial, together.adversarial[i : i + 1])


def shrunk_to(delta, total):
    """Shrink all values by one threshold, found by halving, until their sizes sum to ``total``."""
    low, high = 0.0, delta.abs().max().item()
    for _ in range(100):
        middle = (low + high) / 2
        left = (delta.abs() - middle).clamp_min(0).sum()
        low, high = (middle, high) if left > total else (low, middle)
    return delta.sign() * (delta.abs() - high).clamp_min(0)


def by_hand(model, image, label, norm, steps, max_stepsize):
    """The published loop for one image, every case an if. Returns the smallest flip on its way."""
    power = {"Linf": math.inf, "L2": 2, "L1": 1, "L0": 0}[norm]
    dual = {"Linf": 1, "L2": 2, "L1": math.inf}.get(norm)

    def signed(x):
        logits = model(x[None])[0]
        return side * (logits[label] - max(z for j, z in enumerate(logits) if j != label))

    side = 1
    side = 1 if signed(image) > 0 else -1
    delta, eps, smallest = torch.zeros_like(image), float(norm == "L0"), math.inf
    for step in range(steps):
        cosine = (1 + math.cos(math.pi * step / steps)) / 2
        gamma = 0.001 + 0.049 * cosine
        alpha = max_stepsize / 100 + 0.99 * max_stepsize * cosine
        x = (image + delta).requires_grad_(True)
        loss = signed(x)
        (gradient,) = torch.autograd.grad(loss, x)
        loss, size = loss.item(), delta.flatten().norm(p=power).item()
        if loss < 0:
            smallest = min(smallest, size)
            if norm == "L0":
                eps = max(1.0, min(eps - 1, math.floor(eps * (1 - gamma)), smallest))
            else:
                eps = min(eps * (1 - gamma), smallest)
        elif norm == "L0":
            eps = max(eps + 1, math.floor(eps * (1 + gamma)))
        elif math.isfinite(smallest):
            eps = eps * (1 + gamma)
        else:
            estimate = size + abs(loss) / gradient.flatten().norm(p=dual).item()
            eps = max(eps * (1 + gamma), estimate)
        eps = min(eps, torch.maximum(image, 1 - image).flatten().norm(p=power).item())
        delta = delta - alpha * gradient / gradient.norm()
        if norm == "Linf":
            delta = delta.clamp(-eps, eps)
        elif norm == "L0":
            smallest_kept = delta.abs().flatten().sort(descending=True).values[int(eps) - 1]
            delta = torch.where(delta.abs() >= smallest_kept, delta, 0)
        elif norm == "L1" and delta.abs().sum() > eps:
            delta = shrunk_to(delta, eps)
        elif norm == "L2" and delta.norm() > eps:
            delta = delta * eps / delta.norm()
        delta = (image + delta).clamp(0, 1) - image
    return smallest


@pytest.mark.parametrize("norm", ["L0", "L1", *NORMS])
@pytest.mark.parametrize("stepsize", [0.3, 3.0])
def test_fmn_equals_a_plain_loop_over_single_images(trained, digits, norm, stepsize):
    model, split = copy.deepcopy(trained).double(), digits["test"].head(8)
    images, labels = split.floats().double(), split.labels.clone()
    labels[:3] = (labels[:3] + 1) % 10  # misclassified
    expected = [
        by_hand(model, image, int(label), norm, 25, stepsize)
        for image, label in zip(images, labels, strict=True)
    ]
    found = fmn(model, images, labels, norm, steps=25, max_stepsize=stepsize)
    assert sum(map(math.isfinite, expected)) >= 6
    torch.testing.assert_close(found.distance, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("norm", NORMS)
def test_the_distance_is_the_smallest_flip_that_the_attack_visited(trained, digits, norm):
    model, split, visited = copy.deepcopy(trained), digits["test"].head(30), []
    model.register_forward_hook(lambda _, inputs, logits: visited.append((inputs[0], logits)))
    found = fmn(model, split.floats(), split.labels, norm, steps=20, max_stepsize=1.0)
    right = visited[0][1].argmax(1) == split.labels
    smallest = torch.full((30,), math.inf)
    for images, logits in visited[1:-1]:
        size = LP_NORM[norm](images.detach() - split.floats())
        flipped = (logits.argmax(1) == split.labels) != right
        smallest = torch.where(flipped, smallest.minimum(size), smallest)
    assert len(visited) == 22  # the clean images, 20 steps, the last check
    torch.testing.assert_close(found.distance, smallest, rtol=1e-5, atol=1e-6)


def test_margin_is_positive_where_the_label_wins():
    logits = torch.tensor([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0], [5.0, 5.0, 0.0]])
    expected = torch.tensor([1.0, -2.0, 0.0])
    for shift in (0, -9, 9):  # logits below zero are logits too
        assert torch.equal(margin(logits + shift, torch.tensor([0, 1, 0])), expected)


def test_the_network_gets_no_parameter_gradients(network, images, labels):
    fmn(network, images, labels, "Linf", steps=2, max_stepsize=1.0)
    assert all(p.grad is None for p in network.parameters())

"""Projected gradient descent is a plain loop, and leaves no trace on the network."""

import copy

import pytest
import torch
import torch.nn.functional as F

from thin_ice.attacks.balls import LP_NORM
from thin_ice.attacks.pgd import cross_entropy_of, pgd, pgd_iterates, start_point
from thin_ice.attacks.threat import ThreatModel

LINF, L2 = ThreatModel("Linf", 8 / 255), ThreatModel("L2", 0.5)


def loop_by_hand(model, clean, labels, start, norm, eps, step, steps):
    """PGD image by image with .backward(), written without the library."""
    model, points = copy.deepcopy(model), []
    x = start.clone()
    for _ in range(steps):
        x = x.detach().requires_grad_(True)
        F.cross_entropy(model(x), labels).backward()
        moved = []
        for point, gradient, origin in zip(x.detach(), x.grad, clean, strict=True):
            if norm == "Linf":
                point = point + step * gradient.sign()
                point = torch.maximum(torch.minimum(point, origin + eps), origin - eps)
            else:
                point = point + step * gradient / gradient.norm()
                length = (point - origin).norm()
                point = origin + (point - origin) * (eps / length if length > eps else 1.0)
            moved.append(point.clamp(0, 1))
        x = torch.stack(moved)
        points.append(x)
    return points


@pytest.mark.parametrize(("threat", "step"), [(LINF, 3 / 255), (L2, 0.2)])
def test_pgd_equals_a_plain_loop_for_three_steps(network, images, labels, threat, step):
    start = start_point(images, threat, "uniform", torch.Generator().manual_seed(0))
    expected = loop_by_hand(network, images, labels, start, threat.norm, threat.eps, step, 3)
    found = list(pgd_iterates(network, images, threat, cross_entropy_of(labels), start, 3, step))
    assert len(found) == 3
    for iterate, by_hand in zip(found, expected, strict=True):
        torch.testing.assert_close(iterate.detach(), by_hand, rtol=0, atol=2e-6)
    last = pgd(network, images, threat, cross_entropy_of(labels), start, 3, step)
    assert torch.equal(last, found[-1])
    assert not last.requires_grad


@pytest.mark.parametrize("threat", [LINF, L2])
def test_every_iterate_lies_in_the_ball_and_in_the_box(network, images, labels, threat):
    loss, step = cross_entropy_of(labels), threat.eps  # large steps, so that all must project
    start = start_point(images, threat, "gaussian", torch.Generator().manual_seed(0))
    for iterate in pgd_iterates(network, images, threat, loss, start, 5, step):
        assert (LP_NORM[threat.norm](iterate - images) <= threat.eps + 1e-6).all()
        assert iterate.min() >= 0
        assert iterate.max() <= 1


def test_pgd_increases_the_loss(network, images, labels):
    loss = cross_entropy_of(labels)
    attacked = pgd(network, images, LINF, loss, images, 10, LINF.eps / 4)
    with torch.no_grad():
        assert (
            (F.cross_entropy(network(attacked), labels, reduction="none"))
            .gt(F.cross_entropy(network(images), labels, reduction="none"))
            .all()
        )


def test_no_parameter_gradients_are_left_and_the_inputs_stay(network, images, labels):
    clean, start = images.clone(), images + 0.001
    before = start.clone()
    assert all(parameter.requires_grad for parameter in network.parameters())
    pgd(network, images, LINF, cross_entropy_of(labels), start, 3, 0.01)
    assert all(parameter.grad is None for parameter in network.parameters())
    assert torch.equal(images, clean)
    assert torch.equal(start, before)
    assert not start.requires_grad


def test_pgd_works_where_gradients_are_switched_off(network, images, labels):
    loss = cross_entropy_of(labels)
    expected = pgd(network, images, LINF, loss, images, 2, 0.01)
    with torch.no_grad():
        assert torch.equal(pgd(network, images, LINF, loss, images, 2, 0.01), expected)


def test_no_steps_give_the_start_back(network, images, labels):
    assert torch.equal(pgd(network, images, LINF, cross_entropy_of(labels), images, 0, 1), images)


def test_no_sample_s_gradient_is_scaled_by_its_batch(network, images, labels):
    whole = pgd(network, images, L2, cross_entropy_of(labels), images, 3, 0.1)
    alone = pgd(network, images[:1], L2, cross_entropy_of(labels[:1]), images[:1], 3, 0.1)
    torch.testing.assert_close(whole[:1], alone, rtol=0, atol=1e-5)


def test_clean_start_is_a_copy(images):
    start = start_point(images, LINF, "clean", torch.Generator())
    assert torch.equal(start, images)
    assert start.data_ptr() != images.data_ptr()


def test_gaussian_start_has_a_thousandth_of_spread_and_is_not_clipped():
    clean = torch.ones(50, 1, 8, 8)
    start = start_point(clean, LINF, "gaussian", torch.Generator().manual_seed(0))
    assert (start - clean).std().item() == pytest.approx(0.001, rel=0.05)
    assert start.max() > 1


def test_uniform_start_is_the_threat_model_s(images):
    start = start_point(images, LINF, "uniform", torch.Generator().manual_seed(5))
    assert torch.equal(start, LINF.random_start(images, torch.Generator().manual_seed(5)))

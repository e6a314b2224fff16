"""A threat model is a ball of perturbations and the box of valid images."""

import pytest
import torch

from thin_ice.attacks.balls import LP_NORM
from thin_ice.attacks.threat import ThreatModel

BOTH = [ThreatModel("Linf", 8 / 255), ThreatModel("L2", 0.5)]
ROUNDING = 1e-6


def far_from(clean, seed=0):
    """Points far outside both the ball and the box."""
    return clean + 2 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("threat", BOTH)
def test_projection_lies_in_the_ball_and_in_the_box(threat, images):
    projected = threat.project(far_from(images), images)
    size = LP_NORM[threat.norm](projected - images)
    assert (size <= threat.eps + ROUNDING).all()
    assert projected.min() >= 0
    assert projected.max() <= 1
    assert (size > 0.5 * threat.eps).all()


@pytest.mark.parametrize("threat", BOTH)
def test_projection_is_idempotent(threat, images):
    once = threat.project(far_from(images), images)
    torch.testing.assert_close(threat.project(once, images), once, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("threat", BOTH)
def test_projection_leaves_points_inside_where_they_are(threat, images):
    inside = (images + 0.01 * threat.eps * torch.randn_like(images)).clamp(0, 1)
    torch.testing.assert_close(threat.project(inside, images), inside, rtol=0, atol=ROUNDING)


def test_projection_by_hand():
    clean = torch.tensor([[[[0.5, 0.95]]], [[[0.5, 0.5]]]])
    moved = clean + torch.tensor([[[[-0.3, 0.4]]], [[[0.03, 0.04]]]])
    linf = ThreatModel("Linf", 0.1).project(moved, clean)
    torch.testing.assert_close(linf, torch.tensor([[[[0.4, 1.0]]], [[[0.53, 0.54]]]]))
    l2 = ThreatModel("L2", 0.1).project(moved, clean)
    torch.testing.assert_close(l2, torch.tensor([[[[0.44, 1.0]]], [[[0.53, 0.54]]]]))


@pytest.mark.parametrize("threat", BOTH)
def test_steepest_has_unit_length_and_beats_every_other_direction(threat):
    stream = torch.Generator().manual_seed(0)
    gradient = torch.randn(5, 1, 4, 4, generator=stream)
    steepest = threat.steepest(gradient)
    torch.testing.assert_close(LP_NORM[threat.norm](steepest), torch.ones(5))
    for _ in range(50):
        other = torch.randn(gradient.shape, generator=stream)
        other = other / LP_NORM[threat.norm](other).view(-1, 1, 1, 1)
        assert ((gradient * other).sum((1, 2, 3)) <= (gradient * steepest).sum((1, 2, 3))).all()


@pytest.mark.parametrize("threat", BOTH)
def test_a_zero_gradient_gives_no_direction_and_no_nan(threat):
    assert torch.equal(threat.steepest(torch.zeros(2, 1, 3, 3)), torch.zeros(2, 1, 3, 3))


@pytest.mark.parametrize("threat", BOTH)
def test_random_start_is_inside_and_follows_its_generator(threat, images):
    starts = [threat.random_start(images, torch.Generator().manual_seed(s)) for s in (0, 0, 1)]
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2])
    assert (LP_NORM[threat.norm](starts[0] - images) <= threat.eps + ROUNDING).all()
    assert starts[0].min() >= 0
    assert starts[0].max() <= 1


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_random_start_is_uniform_in_the_ball(norm):
    threat, clean = ThreatModel(norm, 0.1), torch.full((8000, 1, 1, 2), 0.5)
    start = threat.random_start(clean, torch.Generator().manual_seed(0))
    delta = start - clean
    # A ball of half the radius has a quarter of the area of a disc or a square.
    within = (LP_NORM[norm](delta) <= 0.05).float().mean().item()
    assert within == pytest.approx(0.25, abs=0.02)
    assert delta.mean().abs() < 0.002

"""A threat model is a ball of perturbations and the box of valid images."""

import pytest
import torch
from pyautoattack.autopgd_base import L1_projection

from thin_ice.attacks.pgd import cross_entropy_of, pgd, start_point
from thin_ice.attacks.threat import ThreatModel

BOTH = [ThreatModel("Linf", 8 / 255), ThreatModel("L2", 0.5), ThreatModel("L1", 6)]
LP_NORM = {
    "Linf": lambda t: t.flatten(1).abs().amax(1),
    "L2": lambda t: t.flatten(1).square().sum(1).sqrt(),
    "L1": lambda t: t.flatten(1).abs().sum(1),
}
ROUNDING = 1e-6


def far_from(clean, seed=0):
    """Points far outside both the ball and the box."""
    return clean + 2 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("threat", BOTH)
def test_projection_lies_in_the_ball_and_in_the_box(threat, images):
    projected = threat.project(far_from(images), images)
    size = LP_NORM[threat.norm](projected - images)
    assert (size <= threat.eps * (1 + ROUNDING) + ROUNDING).all()
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


@pytest.mark.parametrize("norm", ["Linf", "L2", "L1"])
def test_random_start_is_uniform_in_the_ball(norm):
    threat, clean = ThreatModel(norm, 0.1), torch.full((8000, 1, 1, 2), 0.5)
    start = threat.random_start(clean, torch.Generator().manual_seed(0))
    delta = start - clean
    # A ball of half the radius has a quarter of the area of a disc, a square or a diamond.
    within = (LP_NORM[norm](delta) <= 0.05).float().mean().item()
    assert within == pytest.approx(0.25, abs=0.02)
    assert delta.mean().abs() < 0.002


@pytest.mark.parametrize("threat", BOTH)
def test_size_is_the_norm(threat, images):
    delta = far_from(images) - images
    torch.testing.assert_close(threat.size(delta), LP_NORM[threat.norm](delta))


def nearest_by_bisection(delta, clean, eps):
    """The projection onto the L1 ball and the box, from its optimality conditions, in float64."""
    delta, clean = delta.double().flatten(1), clean.double().flatten(1)
    room = torch.where(delta > 0, 1 - clean, clean)
    low, high = torch.zeros(len(delta), 1).double(), delta.abs().amax(1, keepdim=True)
    for _ in range(100):
        middle = (low + high) / 2
        size = torch.minimum((delta.abs() - middle).clamp_min(0), room)
        above = size.sum(1, keepdim=True) > eps
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    zero = torch.minimum(delta.abs(), room)  # threshold 0: the ball does not bind
    size = torch.where(zero.sum(1, keepdim=True) <= eps, zero, size)
    return (delta.sign() * size).float()


@pytest.mark.parametrize("eps", [0.01, 1, 6, 1000])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32)])
def test_the_l1_projection_is_the_nearest_point_of_ball_and_box(shape, eps):
    stream = torch.Generator().manual_seed(0)
    clean = torch.rand(20, *shape, generator=stream).round(decimals=1)  # some at the box's edge
    delta = torch.randn(clean.shape, generator=stream) * (torch.rand(clean.shape) < 0.5)
    projected = ThreatModel("L1", eps).project(clean + delta, clean)
    assert projected.min() >= 0
    assert projected.max() <= 1
    found = (projected - clean).flatten(1)
    values = found.shape[1]
    assert (found.double().abs().sum(1) <= eps * (1 + 1e-6) + values * 2**-23).all()
    expected = nearest_by_bisection(delta, clean, eps)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-6)
    theirs = delta + L1_projection(clean, delta, eps)  # whose sums lose digits: 2e-4 off
    torch.testing.assert_close(found, theirs.flatten(1), rtol=0, atol=1e-3)


def test_a_step_in_l1_moves_the_hundredth_with_the_largest_gradients():
    gradient = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    step = ThreatModel("L1", 12).steepest(gradient).flatten(1)
    assert (step.count_nonzero(1) == 31).all()  # of 3,072 values
    torch.testing.assert_close(step.abs().sum(1), torch.ones(4))
    flat = gradient.flatten(1)
    assert torch.equal(step.sign(), flat.sign() * (step != 0))
    for row, moved in zip(flat.abs(), step != 0, strict=True):
        assert row[moved].min() >= row[~moved].max()


def test_a_step_in_l1_moves_one_value_of_an_image_of_few():
    step = ThreatModel("L1", 1).steepest(torch.tensor([[[[0.1, -0.3, 0.2]]]]))
    assert step.flatten().tolist() == [0, -1, 0]


@pytest.mark.parametrize("threat", [ThreatModel("L2", 0.6), ThreatModel("L1", 3)])
def test_pgd_lowers_the_accuracy_and_stays_inside(trained, digits, threat):
    split = digits["test"].head(60)
    images, labels = split.floats(), split.labels
    start = start_point(images, threat, "uniform", torch.Generator().manual_seed(0))
    loss = cross_entropy_of(labels)
    found = pgd(trained, images, threat, loss, start, steps=20, step_size=0.2 * threat.eps)
    before, after = ((trained(x).argmax(1) == labels).float().mean() for x in (images, found))
    assert after < before - 0.1
    assert (LP_NORM[threat.norm](found - images) <= threat.eps + 64 * ROUNDING).all()
    assert 0 <= found.min() <= found.max() <= 1

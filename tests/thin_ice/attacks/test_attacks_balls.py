"""Projections land in the ball, at the nearest point, and leave what is inside alone."""

import pytest
import torch

from thin_ice.attacks.balls import DUAL_NORM, LP_NORM, PROJECTION

NORMS = list(PROJECTION)
RADIUS = {"L0": 5.0, "L1": 2.0, "L2": 0.5, "Linf": 0.2}


@pytest.fixture
def deltas():
    return torch.randn(12, 1, 8, 8, generator=torch.Generator().manual_seed(0)).double()


def radii(norm, deltas):
    """A radius of its own for each sample."""
    grown = RADIUS[norm] * (1 + torch.arange(len(deltas)) / 4)
    return (grown.floor() if norm == "L0" else grown).to(deltas)


@pytest.mark.parametrize("norm", NORMS)
def test_a_projection_is_on_the_ball_and_idempotent(norm, deltas):
    radius = radii(norm, deltas)
    projected = PROJECTION[norm](deltas, radius)
    torch.testing.assert_close(LP_NORM[norm](projected), radius)
    torch.testing.assert_close(PROJECTION[norm](projected, radius), projected)


@pytest.mark.parametrize("norm", NORMS)
def test_what_is_inside_stays(norm, deltas):
    radius = LP_NORM[norm](deltas) + 1
    torch.testing.assert_close(PROJECTION[norm](deltas, radius), deltas)


@pytest.mark.parametrize("norm", NORMS)
def test_no_other_point_of_the_ball_is_nearer(norm, deltas):
    """Random points of the ball, and the projection of points beside the projection."""
    radius, stream = radii(norm, deltas), torch.Generator().manual_seed(1)
    projected = PROJECTION[norm](deltas, radius)
    nearest = LP_NORM["L2"](deltas - projected)
    for scale in (0.01, 0.1, 1.0):
        noise = scale * torch.randn(deltas.shape, generator=stream).double()
        other = PROJECTION[norm](projected + noise, radius)
        assert (LP_NORM[norm](other) <= radius * (1 + 1e-9)).all()
        assert (LP_NORM["L2"](deltas - other) >= nearest * (1 - 1e-9)).all()


@pytest.mark.parametrize("norm", NORMS)
def test_a_ball_of_radius_zero_is_its_centre(norm, deltas):
    zero = torch.zeros(len(deltas)).to(deltas)
    assert not PROJECTION[norm](deltas, zero).any()


def test_of_equal_values_l0_keeps_exactly_so_many():
    kept = PROJECTION["L0"](torch.ones(2, 1, 3, 3), torch.tensor([4.0, 9.0]))
    assert LP_NORM["L0"](kept).tolist() == [4, 9]


@pytest.mark.parametrize("norm", DUAL_NORM)
def test_norms_and_their_duals_obey_hoelder_with_equality_somewhere(norm, deltas):
    gradient = deltas.flip(0)
    products = (deltas * gradient).flatten(1).sum(1)
    bound = LP_NORM[norm](deltas) * DUAL_NORM[norm](gradient)
    assert (products <= bound).all()
    flat = gradient.flatten(1)
    top = torch.nn.functional.one_hot(flat.abs().argmax(1), flat.shape[1]) * flat.sign()
    best = {"Linf": flat.sign(), "L2": flat / flat.norm(dim=1, keepdim=True), "L1": top}[norm]
    torch.testing.assert_close((best * flat).sum(1), DUAL_NORM[norm](gradient))
    torch.testing.assert_close(LP_NORM[norm](best), torch.ones(len(best)).double())

"""The least value of a linear function over a ball cut to the box, against an LP and by search."""

import numpy as np
import pytest
import torch
from random_networks import NORMS, sampled
from scipy.optimize import linprog, minimize

from thin_ice.attacks.balls import DUAL_NORM
from thin_ice.attacks.threat import ThreatModel
from thin_ice.verification.intervals import dot
from thin_ice.verification.region import Region

SIZE = 6


def drawn(seed, norm, eps):
    stream = torch.Generator().manual_seed(seed)
    images = torch.rand(2, 1, 2, 3, generator=stream, dtype=torch.float64)
    images[torch.rand(images.shape, generator=stream) < 0.3] = 0
    slopes = torch.randn(2, 3, 1, 2, 3, generator=stream, dtype=torch.float64)
    slopes[torch.rand(slopes.shape, generator=stream) < 0.2] = 0
    slopes[0, 0] = 0
    return Region(images, norm, torch.full((2,), eps, dtype=torch.float64)), slopes


def least_l1(slopes, image, eps):
    """By an LP in the parts of the perturbation that rise and fall."""
    cost = np.concatenate([slopes, -slopes])
    room = [(0, r) for r in np.concatenate([1 - image, image])]
    found = linprog(cost, np.ones((1, 2 * SIZE)), [eps], bounds=room)
    return found.fun + slopes @ image


def least_l2(slopes, image, eps):
    ball = {"type": "ineq", "fun": lambda d: eps**2 - d @ d, "jac": lambda d: -2 * d}
    start = np.clip(image - eps * slopes / 10, 0, 1) - image
    room = list(zip(-image, 1 - image, strict=True))
    options = {"ftol": 1e-13, "maxiter": 1000}
    found = minimize(
        lambda d: slopes @ d, start, jac=lambda d: slopes, bounds=room, constraints=[ball],
        method="SLSQP", options=options,
    )  # fmt: skip
    return found.fun + slopes @ image


@pytest.mark.parametrize(("norm", "least"), [("L1", least_l1), ("L2", least_l2)])
@pytest.mark.parametrize("eps", [0.05, 0.3, 0.8, 1.5, 10.0])
def test_the_least_value_in_ball_and_box_is_exact(norm, least, eps):
    for seed in range(4):
        region, slopes = drawn(seed, norm, eps)
        found = region.least(slopes)
        for sample, image in enumerate(region.images.flatten(1).numpy()):
            for number, slope in enumerate(slopes[sample].flatten(1).numpy()):
                expected = least(slope, image, eps)
                assert found[sample, number].item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("norm", NORMS)
def test_far_from_the_box_it_is_the_dual_norm(norm):
    region, slopes = drawn(0, norm, 0.1)
    region = Region(torch.full_like(region.images, 0.5), norm, region.eps)
    dual = DUAL_NORM[norm](slopes.flatten(0, 1)).view(2, 3)
    torch.testing.assert_close(region.least(slopes), dot(slopes, region.images) - 0.1 * dual)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("eps", [0.0, 1e-9, 0.1, 1.0, 100.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_point_lies_below_it_or_outside_the_box_and_no_slope_gives_zero(norm, eps, dtype):
    region, slopes = drawn(1, norm, eps)
    region = Region(region.images.to(dtype), norm, region.eps.to(dtype))
    least, box = region.least(slopes.to(dtype)), region.interval()
    stream = torch.Generator().manual_seed(2)
    points = sampled(ThreatModel(norm, eps), region.images, 200, stream)
    rounding = 1e-5 if dtype == torch.float32 else 1e-12
    for point in points:
        assert (least <= dot(slopes.to(dtype), point) + rounding).all()
        assert (box.lower - rounding <= point).all()
        assert (point <= box.upper + rounding).all()
    assert least[0, 0] == 0
    assert least.isfinite().all()


@pytest.mark.parametrize("norm", NORMS)
def test_each_sample_has_its_own_radius(norm):
    region, slopes = drawn(3, norm, 0.1)
    mixed = Region(region.images, norm, torch.tensor([0.1, 0.4], dtype=torch.float64))
    large = Region(region.images, norm, torch.full((2,), 0.4, dtype=torch.float64))
    assert torch.equal(mixed.least(slopes)[0], region.least(slopes)[0])
    assert torch.equal(mixed.least(slopes)[1], large.least(slopes)[1])
    assert (mixed.least(slopes)[1, [0, 2]] < region.least(slopes)[1, [0, 2]]).all()
    swapped = mixed.rows(torch.tensor([1, 0]))
    assert torch.equal(swapped.least(slopes.flip(0)), mixed.least(slopes).flip(0))


@pytest.mark.parametrize("norm", ["L2", "L1"])
def test_its_gradient_is_that_of_the_least_point(norm):
    region, slopes = drawn(4, norm, 0.3)
    slopes = slopes[:, 1:].clone().requires_grad_(True)
    assert torch.autograd.gradcheck(region.least, slopes)

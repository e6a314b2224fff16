"""Where a sample has no gradient, a search that begins at a flip still finds the nearest."""

import pytest
import torch
from torch import nn

from thin_ice.attacks.fmn import Fmn
from thin_ice.attacks.starts import STARTS

PIXELS = 16


class Dead(nn.Module):
    """Constant, gradient and all, until the mean of the image passes 0.3; flips at 0.4."""

    def forward(self, images):
        awake = (images.flatten(1).mean(1) - 0.3).clamp_min(0)
        return torch.stack([torch.full_like(awake, 0.1), awake], 1)


@pytest.fixture
def images():
    dark = 0.1 * torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    return torch.cat([dark, torch.full((1, 1, 4, 4), 0.9)])


LABELS = torch.tensor([0] * 6 + [1])
# Of the mean, in each norm, and the room up to white does not bind.
PER_MEAN = {"Linf": 1.0, "L2": PIXELS**0.5, "L1": PIXELS}


@pytest.mark.parametrize("norm", PER_MEAN)
@pytest.mark.parametrize("start", ["boundary", "noise"])
def test_the_nearest_flip_of_a_dead_network_is_found_from_a_flip(images, start, norm):
    found = Fmn(200, 1.0, start).search(Dead(), images, LABELS, norm)
    expected = (images.flatten(1).mean(1) - 0.4).abs() * PER_MEAN[norm]
    torch.testing.assert_close(found.distance, expected, rtol=0.02, atol=0)


def test_from_the_sample_nothing_is_found(images):
    found = Fmn(200, 1.0).search(Dead(), images, LABELS, "Linf")
    assert found.distance[:6].isinf().all()
    assert found.distance[6].isfinite()  # awake


@pytest.mark.parametrize("norm", ["L0", "L1", "L2", "Linf"])
@pytest.mark.parametrize("start", ["boundary", "noise"])
def test_starts_are_flips_in_the_box_and_the_same_every_time(images, start, norm):
    points = STARTS[start](Dead(), images, LABELS, norm)
    assert (Dead()(points).argmax(1) != LABELS).all()
    assert points.min() >= 0
    assert points.max() <= 1
    assert torch.equal(points, STARTS[start](Dead(), images, LABELS, norm))


def test_a_boundary_start_lies_just_beyond_it(images):
    points = STARTS["boundary"](Dead(), images, LABELS, "L2")
    means = points.flatten(1).mean(1)
    assert ((means[:6] > 0.4) & (means[:6] < 0.402)).all()


def test_the_nearest_of_several_flips_is_taken(images):
    near = torch.full((1, 1, 4, 4), 0.5)
    batch, labels = torch.cat([images, near]), torch.cat([LABELS, torch.tensor([1])])
    points = STARTS["boundary"](Dead(), batch, labels, "Linf")
    towards = (points - batch)[0] / (near[0] - batch[0])
    torch.testing.assert_close(towards, towards.mean().expand_as(towards))


@pytest.mark.parametrize("start", STARTS)
def test_where_no_image_flips_the_search_begins_at_the_sample(images, start):
    dark, labels = images[:6] / 10, LABELS[:6]
    points = STARTS[start](nn.Sequential(nn.Flatten(), Always()), dark, labels, "L2")
    assert torch.equal(points, dark)


class Always(nn.Module):
    """The first class, whatever is shown."""

    def forward(self, images):
        return torch.tensor([[1.0, 0.0]]).expand(len(images), 2)

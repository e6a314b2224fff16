"""Laws that every attack of the table obeys in each of its norms, whatever finds the flips."""

import math

import pytest
import torch
from torch import nn

from thin_ice import tables
from thin_ice.attacks.balls import DUAL_NORM, LP_NORM
from thin_ice.attacks.minimum_norm import Nearest

QUICK = {
    "fmn": {"steps": 200, "max_stepsize": 1.0},
    "apgd": {"steps": 15, "bisections": 10, "targets": 2},
    "fab": {"steps": 40, "targets": 2},
}
CASES = [
    (kind, norm)
    for kind in tables.DISTANCE_ATTACKS
    for norm in tables.load("distance_attacks", kind).norms
]
ROUNDING = 1e-6


def attack(kind, **options):
    return tables.load("distance_attacks", kind)(**QUICK[kind] | options)


def linear(classes=3, seed=0, ahead=0.0):
    """A linear classifier whose boundaries pass near the grey image; or class 0 is so far ahead."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, classes))
    stream = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        model[1].weight.copy_(torch.randn(classes, 64, generator=stream))
        model[1].bias.copy_(-0.5 * model[1].weight.sum(1))
        model[1].bias[0] += ahead
    return model.eval().requires_grad_(False)


def greys(n=60, seed=1, spread=0.05):
    noise = torch.randn(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    return (0.5 + spread * noise).clamp(0.2, 0.8)


def closed_form(model, images, labels, norm):
    """Least over the other classes of what crosses |z_y - z_j| = m at slope w = w_y - w_j.

    m / ||w||_q where the box does not bind. In L1 the steepest value goes to its bound before the
    next one moves, and in L0 values go to their bounds by what that is worth.
    """
    weight, logits = model[1].weight, model(images)
    distances = torch.full_like(logits, math.inf)
    for i, label in enumerate(labels):
        for j in set(range(logits.shape[1])) - {int(label)}:
            gap = (logits[i, label] - logits[i, j]).abs()
            slope = weight[label] - weight[j]
            down = (slope > 0) == (logits[i, label] > logits[i, j])
            flat = images[i].flatten()
            room = torch.where(down, flat, 1 - flat)
            distances[i, j] = least(gap, slope.abs(), room, norm)
    return distances.amin(1)


def least(gap, slope, room, norm):
    if norm in ("L2", "Linf"):
        return gap / DUAL_NORM[norm](slope[None])[0]
    order = (slope if norm == "L1" else slope * room).argsort(descending=True)
    worth, cost = (slope * room)[order].cumsum(0), room[order].cumsum(0)
    full = int((worth < gap).sum())  # values that go all the way to their bounds
    if norm == "L0":
        return torch.tensor(full + 1.0)
    before = (worth[full - 1], cost[full - 1]) if full else (0.0, 0.0)
    return before[1] + (gap - before[0]) / slope[order][full]


@pytest.mark.parametrize(("kind", "norm"), CASES)
def test_medians_of_a_linear_classifier_are_within_one_percent_of_the_closed_form(kind, norm):
    # Of several classes FMN heads for the most likely other one, which need not be the nearest.
    classes = 2 if kind == "fmn" else 3
    # In L0 farther away, so that more than one value has to change.
    farther, options = (8.0, {"max_stepsize": 10.0}) if norm == "L0" else (0.0, {})
    model, images = linear(classes, ahead=farther), greys()
    labels = model(images).argmax(1)
    exact = closed_form(model, images, labels, norm)
    found = attack(kind, **options).search(model, images, labels, norm)
    assert (found.distance > 0.999 * exact - ROUNDING).all()
    assert abs(found.distance.median() / exact.median() - 1) < 0.01
    if norm == "L0":
        assert exact.median() > 3


@pytest.mark.parametrize(("kind", "norm"), [c for c in CASES if c[0] != "fab"])
def test_misclassified_samples_of_a_linear_classifier_meet_the_closed_form(kind, norm):
    model, images = linear(classes=2), greys()
    labels = 1 - model(images).argmax(1)
    exact = closed_form(model, images, labels, norm)
    found = attack(kind).search(model, images, labels, norm)
    assert (found.distance > 0.999 * exact - ROUNDING).all()
    assert abs(found.distance.median() / exact.median() - 1) < 0.01
    assert (model(found.adversarial).argmax(1) == labels).all()


@pytest.fixture(scope="module")
def split(digits):
    """Digits of which some are misclassified."""
    return digits["test"].head(60)


@pytest.mark.parametrize(("kind", "norm"), CASES)
def test_a_flip_is_in_the_box_really_flips_and_is_as_far_as_it_says(kind, norm, trained, split):
    images = split.floats()
    labels = torch.where(torch.arange(60) < 12, (split.labels + 1) % 10, split.labels)
    found = attack(kind).search(trained, images, labels, norm)
    right = trained(images).argmax(1) == labels
    succeeded = found.distance.isfinite()
    assert succeeded[right].float().mean() > 0.9
    assert 0 <= found.adversarial.min() <= found.adversarial.max() <= 1
    flipped = (trained(found.adversarial).argmax(1) == labels) != right
    assert torch.equal(flipped, succeeded)
    size = LP_NORM[norm](found.adversarial - images)
    assert torch.equal(size[succeeded], found.distance[succeeded])
    assert torch.equal(found.adversarial[~succeeded], images[~succeeded])
    attempted = right | tables.load("distance_attacks", kind).misclassified
    assert torch.equal(found.distance.isnan(), ~attempted)
    assert (found.distance[attempted] > 0).all()


class Constant(nn.Module):
    """The same logits for every image, with a zero gradient."""

    def forward(self, images):
        return 0 * images.flatten(1)[:, :3] + torch.tensor([0.0, 1.0, 0.0])


@pytest.mark.parametrize(("kind", "norm"), CASES)
def test_failure_is_an_infinite_distance_with_the_clean_image(kind, norm, images):
    labels = torch.ones(len(images), dtype=torch.int64)
    found = attack(kind, steps=3).search(Constant(), images, labels, norm)
    assert found.distance.isinf().all()
    assert torch.equal(found.adversarial, images)


@pytest.mark.parametrize(("kind", "norm"), CASES)
def test_the_same_search_finds_the_same(kind, norm, trained, split):
    small = split.head(10)
    first, again = (
        attack(kind, steps=5).search(trained, small.floats(), small.labels, norm) for _ in range(2)
    )
    assert torch.equal(first.adversarial, again.adversarial)


@pytest.mark.parametrize("kind", ["apgd", "fab"])
def test_more_targets_find_flips_at_least_as_near(kind, trained, split):
    one, three = (
        attack(kind, targets=n).search(trained, split.floats(), split.labels, "Linf").distance
        for n in (1, 3)
    )
    assert three.nanmean() < one.nanmean()
    if kind == "fab":  # its targets do not depend on each other
        assert not (three > one).any()


def test_a_bisection_halves_what_is_left(trained, split):
    few, many = (
        attack("apgd", bisections=n).search(trained, split.floats(), split.labels, "Linf").distance
        for n in (3, 9)
    )
    assert not (many > few).any()
    assert many.mean() < 0.99 * few.mean()


def test_what_does_not_flip_when_looked_at_again_was_not_found(images):
    """A flip that an attack only claims."""
    labels = torch.ones(len(images), dtype=torch.int64)
    nearest = Nearest(images, "Linf")
    nearest.see((images + 0.1).clamp(0, 1), torch.ones(len(images), dtype=torch.bool))
    assert nearest.distance.isfinite().all()
    found = nearest.confirmed(Constant(), labels, labels == 1)
    assert found.distance.isinf().all()
    assert torch.equal(found.adversarial, images)


class Wavering(nn.Module):
    """Says another class each time it is asked, as a tie may when a batch changes."""

    calls = 0

    def forward(self, images):
        self.calls += 1
        return torch.eye(2)[[self.calls % 2]].expand(len(images), 2)


def test_where_no_flip_was_seen_none_is_confirmed(images):
    right = torch.ones(len(images), dtype=torch.bool)
    labels = torch.zeros(len(images), dtype=torch.int64)
    found = Nearest(images, "Linf").confirmed(Wavering(), labels, right)
    assert found.distance.isinf().all()


def test_a_point_outside_the_box_is_brought_into_it_and_its_distance_is_that_points(images):
    model = linear(classes=2)
    labels = model(images).argmax(1)
    side = torch.where(labels[:, None] == 0, 1.0, -1.0) * (model[1].weight[1] - model[1].weight[0])
    far = images + 3 * side.sign().view_as(images)
    nearest = Nearest(images, "Linf")
    nearest.see(far, torch.ones(len(images), dtype=torch.bool))
    found = nearest.confirmed(model, labels, labels == labels)
    assert (found.distance <= 1).all()
    assert found.adversarial.min() >= 0
    assert found.adversarial.max() <= 1

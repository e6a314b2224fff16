"""Bounds against exact values: linear networks, and ReLU networks by all activation patterns."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from random_networks import NORMS, cases
from scipy.optimize import linprog
from torch import nn

from thin_ice.attacks.balls import DUAL_NORM
from thin_ice.attacks.threat import ThreatModel
from thin_ice.verification.margins import METHODS, Margins

WIDTHS = (3, 3, 2)  # of the hidden layers and the output of the tiny networks


def tiny(seed, widths=WIDTHS):
    """A ReLU network of two inputs, six hidden units if not told otherwise, and an image."""
    stream = torch.Generator().manual_seed(seed)
    layers, before = [nn.Flatten()], 2
    for width in widths:
        layers += [nn.Linear(before, width), nn.ReLU()]
        before = width
    network = nn.Sequential(*layers[:-1]).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=stream))
    return network, 0.2 + 0.6 * torch.rand(1, 1, 1, 2, generator=stream, dtype=torch.float64)


def affine_of(network, pattern):
    """Where the hidden units have these signs: matrix and shift of each of their inputs, stacked,
    and of the logits.
    """
    matrix, shift, inputs = np.eye(2), np.zeros(2), []
    signs = iter(pattern)
    for layer in [module for module in network if isinstance(module, nn.Linear)]:
        weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
        matrix, shift = weight @ matrix, weight @ shift + bias
        if layer is network[-1]:
            return inputs, matrix, shift
        inputs.append((matrix, shift))
        on = np.array([next(signs) for _ in shift])
        matrix, shift = on[:, None] * matrix, on * shift
    raise AssertionError("no last layer")


def exact_range(network, image, threat):
    """Least and largest difference of the two logits over the ball, each with its point."""
    low, high = (np.clip(image + s * threat.eps, 0, 1) for s in (-1, 1))
    found = []
    for pattern in product((0, 1), repeat=sum(WIDTHS[:-1])):
        inputs, matrix, shift = affine_of(network, pattern)
        stacked, offset = (np.concatenate(parts) for parts in zip(*inputs, strict=True))
        sign = 1 - 2 * np.array(pattern)  # on: input >= 0
        rows, limits = sign[:, None] * stacked, -sign * offset
        if threat.norm == "L1":
            corners = np.array(list(product((-1, 1), repeat=2)))
            rows = np.concatenate([rows, corners])
            limits = np.concatenate([limits, threat.eps + corners @ image])
        for direction in (1, -1):
            cost = direction * (matrix[0] - matrix[1])
            solved = linprog(cost, rows, limits, bounds=list(zip(low, high, strict=True)))
            if solved.status == 0:
                found.append((direction * solved.fun + shift[0] - shift[1], solved.x))
    return min(found, key=lambda pair: pair[0]), max(found, key=lambda pair: pair[0])


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("norm", "eps"), [("Linf", 0.05), ("Linf", 0.3), ("L1", 0.2)])
def test_bounds_contain_the_exact_range_which_enumeration_finds(seed, norm, eps):
    network, image = tiny(seed)
    threat = ThreatModel(norm, eps)
    (least, low), (largest, high) = exact_range(network, image.flatten().numpy(), threat)
    for value, point in ((least, low), (largest, high)):
        logits = network(torch.tensor(point).view(1, 1, 1, 2))[0]
        assert (logits[0] - logits[1]).item() == pytest.approx(value, abs=1e-7)
        assert threat.size(torch.tensor(point).view_as(image) - image) <= eps + 1e-7
    grid = torch.cartesian_prod(*[torch.linspace(-eps, eps, 41, dtype=torch.float64)] * 2)
    near = (image + grid.view(-1, 1, 1, 2)).clamp(0, 1)
    logits = network(near[threat.size(near - image) <= eps + 1e-12])
    difference = logits[:, 0] - logits[:, 1]
    assert least - 1e-7 <= difference.min() <= least + 0.2 * (largest - least)
    assert largest - 0.2 * (largest - least) <= difference.max() <= largest + 1e-7
    for method in METHODS:
        lower = Margins(network, image, torch.tensor([0]), threat).lower(method)[0, 1]
        upper = -Margins(network, image, torch.tensor([1]), threat).lower(method)[0, 0]
        assert lower <= least + 1e-7
        assert upper >= largest - 1e-7


@pytest.mark.parametrize("seed", range(6))
def test_where_no_unit_changes_its_sign_crown_is_exact(seed):
    network, image = tiny(seed)
    threat = ThreatModel("Linf", 1e-4)
    (least, _), _ = exact_range(network, image.flatten().numpy(), threat)
    for method in ("crown_ibp", "crown"):
        lower = Margins(network, image, torch.tensor([0]), threat).lower(method)[0, 1]
        assert lower.item() == pytest.approx(least, abs=1e-9)


def by_hand(network, image, eps):
    """CROWN's lower bound of the difference of the logits, with matrices, from the paper; of the
    hidden units' ranges, too, where their intervals are no tighter.
    """
    layers = [module for module in network if isinstance(module, nn.Linear)]
    weights = [layer.weight.detach().numpy() for layer in layers]
    biases = [layer.bias.detach().numpy() for layer in layers]
    low, high = np.clip(image - eps, 0, 1), np.clip(image + eps, 0, 1)
    ranges = []

    def lower(matrix, shift, depth):
        for level in range(depth - 1, -1, -1):
            least, largest = ranges[level]
            undecided = (least < 0) & (largest > 0)
            chord = np.where(undecided, largest / np.where(undecided, largest - least, 1), 0)
            above = np.where(undecided, chord, least >= 0)
            below = np.where(undecided, largest > -least, least >= 0)
            shift = shift + np.minimum(matrix, 0) @ np.where(undecided, -chord * least, 0)
            matrix = np.maximum(matrix, 0) * below + np.minimum(matrix, 0) * above
            matrix, shift = matrix @ weights[level], shift + matrix @ biases[level]
        return np.maximum(matrix, 0) @ low + np.minimum(matrix, 0) @ high + shift

    for level, (weight, bias) in enumerate(zip(weights[:-1], biases[:-1], strict=True)):
        least, largest = lower(weight, bias, level), -lower(-weight, -bias, level)
        inside = [np.maximum(end, 0) for end in ranges[-1]] if ranges else (low, high)
        centre, radius = weight @ np.mean(inside, 0) + bias, abs(weight) @ np.ptp(inside, 0) / 2
        ranges.append((np.maximum(least, centre - radius), np.minimum(largest, centre + radius)))
    difference = np.array([[1.0, -1.0]])
    return lower(difference @ weights[-1], difference @ biases[-1], len(ranges))[0]


def test_crown_is_the_paper_s_with_matrices():
    tightest = 0
    for seed in range(12):
        network, image = tiny(seed, (6, 6, 6, 2))
        expected = by_hand(network, image.flatten().numpy(), 0.1)
        margins = Margins(network, image, torch.tensor([0]), ThreatModel("Linf", 0.1))
        found = margins.lower("crown")[0, 1].item()
        others = max(margins.lower(method)[0, 1].item() for method in ("ibp", "crown_ibp"))
        assert found == pytest.approx(max(expected, others), abs=1e-9)
        tightest += expected > others + 1e-9
    assert tightest >= 3


def linear(seed=0):
    stream = torch.Generator().manual_seed(seed)
    layers = nn.Conv2d(2, 3, 3, padding=1), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(18, 4)
    network = nn.Sequential(*layers).double()
    images = 0.4 + 0.2 * torch.rand(3, 2, 4, 6, generator=stream, dtype=torch.float64)
    return network, images, torch.tensor([0, 3, 1])


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("method", METHODS)
def test_the_margins_of_a_linear_network_are_exact(norm, method):
    network, images, labels = linear()
    images.requires_grad_(True)
    logits = network(images)
    found = Margins(network, images.detach(), labels, ThreatModel(norm, 0.1)).lower(method)
    for sample, label in enumerate(labels):
        for other in range(4):
            margin = logits[sample, label] - logits[sample, other]
            (gradient,) = torch.autograd.grad(margin, images, retain_graph=True)
            expected = margin - 0.1 * DUAL_NORM[norm](gradient)[sample]
            torch.testing.assert_close(found[sample, other], expected)


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(cases())
def test_crown_is_never_looser_than_the_others(case):
    network, images, labels, threat, _ = case
    margins = Margins(network, images, labels, threat)
    crown = margins.lower("crown")
    for method in ("ibp", "crown_ibp"):
        assert (crown >= margins.lower(method)).all()


def test_crown_ibp_is_tighter_than_ibp_here_and_looser_there():
    differences = []
    for seed in range(20):
        network, image = tiny(seed)
        margins = Margins(network, image, torch.tensor([0]), ThreatModel("Linf", 0.3))
        difference = margins.lower("crown_ibp") - margins.lower("ibp")
        differences.append(difference[0, 1].item())
    assert max(differences) > 0.1
    assert min(differences) < -0.01

"""What the tests of the objectives room share."""

import pytest
import torch

from thin_ice.attacks.threat import ThreatModel
from thin_ice.models.network import Architecture
from thin_ice.objectives.base import Step

TINY = Architecture("digits_cnn", {"width": 4}, (1, 8, 8), 10, normalize=False)
THREATS = {"Linf": ThreatModel("Linf", 16 / 255), "L2": ThreatModel("L2", 0.5)}


@pytest.fixture
def network():
    """A small network in training mode whose batch norm has seen other data than it will see."""
    model = TINY.build(seed=0)
    with torch.no_grad():
        model(0.5 * torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(9)))
    return model


@pytest.fixture
def step():
    """The moment of a step, by norm, seed and teacher (a network of other weights)."""
    other = TINY.build(seed=1).eval().requires_grad_(False)

    def moment(norm="Linf", seed=0, teacher=other):
        return Step(THREATS[norm], torch.Generator().manual_seed(seed), 0.5, teacher)

    return moment

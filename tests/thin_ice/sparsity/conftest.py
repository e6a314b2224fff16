"""What the tests of the sparsity room share."""

import pytest

from thin_ice.models.network import Architecture


@pytest.fixture
def network():
    """A small real network in training mode, the same at every call."""
    return Architecture("digits_cnn", {"width": 4}, (1, 8, 8), 10, normalize=False).build(seed=0)

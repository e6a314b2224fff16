"""What the tests of the sparsity room share."""

import pytest
import torch

from thin_ice.models.network import Architecture


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def network():
    """A small real network in training mode, the same at every call."""
    return Architecture("digits_cnn", {"width": 4}, (1, 8, 8), 10, normalize=False).build(seed=0)

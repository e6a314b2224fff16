"""What the tests of the verification room share."""

import pytest
import torch


@pytest.fixture(autouse=True, scope="package")
def _one_thread():
    """Tensors here are so small that threads cost more than they save."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)

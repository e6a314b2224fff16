"""What the tests of the pruning room share."""

import pytest

from thin_ice.checkpoint import Checkpoint


@pytest.fixture
def checkpoint(tmp_path):
    return Checkpoint(tmp_path / "checkpoint", "job")

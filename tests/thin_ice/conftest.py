"""A finished study, made once, and copies of it to falsify."""

import shutil
import tempfile
from pathlib import Path

import pytest
from falsification import TWO_SEEDS, Copy, copied
from tiny_study import run_study

from thin_ice.study.load import study_from


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The folder of an honest study, moved from where it was made; nobody changes it."""
    place = tmp_path_factory.mktemp("finished")
    made = run_study(study_from(TWO_SEEDS), place / "made" / "tiny")
    return shutil.move(made, place / "tiny")


@pytest.fixture
def copy(finished, tmp_path) -> Copy:
    return copied(finished, tmp_path / "tiny")


@pytest.fixture
def other_file_system(tmp_path):
    """A folder into which nothing can be renamed from where tests write."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system here")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)

"""A finished study, made once, and copies of it to falsify."""

import shutil

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

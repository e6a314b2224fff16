"""Which study a folder of results is held against: the one asked for, its namesake, its copy."""

import argparse
import os

import pytest
import yaml
from miniature import MINIATURE, REPOSITORY

from thin_ice.commands.present import results_and_study
from thin_ice.errors import ThinIceError
from thin_ice.study.load import study_from


def found(results=None, study=None):
    return results_and_study(argparse.Namespace(results=results, study=study))


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def saved(folder, **changes):
    """Results with the resolved study beside them."""
    (folder / "study").mkdir(parents=True)
    text = yaml.safe_dump(study_from(MINIATURE | changes).resolved)
    (folder / "study" / "study.yaml").write_text(text)
    return folder


def test_the_study_asked_for_comes_first(elsewhere):
    (elsewhere / "mine.yaml").write_text(yaml.safe_dump(MINIATURE))
    root, study, file = found(elsewhere / "results" / "digits", elsewhere / "mine.yaml")
    assert root == elsewhere / "results" / "digits"
    assert study.resolved["name"] == "miniature"
    assert file == elsewhere / "mine.yaml"


def test_without_a_folder_it_is_the_one_that_the_study_writes_to(elsewhere):
    (elsewhere / "mine.yaml").write_text(yaml.safe_dump(MINIATURE))
    root, _, _ = found(study=elsewhere / "mine.yaml")
    assert str(root) == os.path.join("results", "miniature")  # noqa: PTH118


def test_without_anything_it_is_the_default_study():
    root, study, file = found()
    assert str(root) == "results/digits"
    assert study.resolved["name"] == "digits"
    assert file.name == "config.yaml"


def test_a_folder_is_held_against_the_study_of_its_name_in_this_checkout(elsewhere):
    folder = saved(elsewhere / "thin_ice")
    _, study, file = found(folder)
    assert file == REPOSITORY / "workflow/studies/thin-ice.yaml"
    assert study.resolved["name"] == "thin_ice"


def test_a_folder_with_another_name_is_held_against_its_own_copy(elsewhere):
    folder = saved(elsewhere / "copied")
    _, study, file = found(folder)
    assert file == folder / "study" / "study.yaml"
    assert study.resolved == study_from(MINIATURE).resolved


def test_a_folder_that_no_study_is_known_of_is_refused_in_one_sentence(elsewhere):
    with pytest.raises(ThinIceError, match=r"no study named nothing is known here; .* --study"):
        found(elsewhere / "nothing")


def test_the_data_of_a_study_need_not_be_here(elsewhere):
    data = {"cifar10": {"folder": str(elsewhere / "nowhere")}}
    folder = saved(elsewhere / "copied")
    text = yaml.safe_dump(MINIATURE | {"datasets": data})
    (folder / "study" / "study.yaml").write_text(text)
    assert "cifar10" in found(folder)[1].resolved["datasets"]

"""Weights from outside are found by name, and finding them runs nothing."""

import sys

import pytest

from thin_ice.outside import MissingWeights, module_file, source_name, weights_file


def checkpoint(**given):
    return dict.fromkeys(("file", "package", "path", "entry_point")) | given


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A package that cannot be imported, in the working folder."""
    folder = tmp_path / "elsewhere"
    (folder / "nets").mkdir(parents=True)
    for path in (folder / "__init__.py", folder / "nets" / "__init__.py", folder / "nets/small.py"):
        path.write_text("raise RuntimeError('it was imported')\n")
    (folder / "weights.pt").write_bytes(b"x")
    (tmp_path / "secret.pt").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    return folder


def test_a_file_inside_a_package_is_found_without_importing_it(elsewhere):
    found = weights_file(checkpoint(package="elsewhere", path="weights.pt"))
    assert found == (elsewhere / "weights.pt").resolve()
    assert "elsewhere" not in sys.modules


def test_a_module_in_a_package_is_found_without_importing_either(elsewhere):
    assert module_file("elsewhere.nets.small") == elsewhere / "nets/small.py"
    found = weights_file(checkpoint(entry_point="elsewhere.nets.small:network"))
    assert found == elsewhere / "nets/small.py"
    assert not [name for name in sys.modules if name.startswith("elsewhere")]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"file": "none.pt"}, "there is no file none.pt"),
        ({"file": "elsewhere"}, "there is no file elsewhere"),
        ({"package": "nowhere_at_all", "path": "x.pt"}, "no package nowhere_at_all"),
        ({"package": "elsewhere", "path": "y.pt"}, "there is no file"),
        ({"package": "elsewhere", "path": "../secret.pt"}, "leaves the package elsewhere"),
        ({"entry_point": "nowhere_at_all.nets:f"}, "there is no module nowhere_at_all.nets"),
        ({"entry_point": "elsewhere.none:f"}, "there is no module elsewhere.none"),
        ({"entry_point": "sys:f"}, "there is no module sys"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_not_there_is_said_in_one_sentence(elsewhere, given, words):
    with pytest.raises(MissingWeights) as caught:
        weights_file(checkpoint(**given))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_source_has_one_name_on_every_machine():
    assert source_name(checkpoint(file="/some/where/w.pt")) == "checkpoint/w.pt"
    assert source_name(checkpoint(package="p", path="a/w.pt")) == "p/a/w.pt"
    assert source_name(checkpoint(entry_point="m:f")) == "m:f"

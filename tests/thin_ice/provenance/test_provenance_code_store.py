"""The sources that ran are kept once, and cannot be changed unseen."""

import json

import pytest

from thin_ice.provenance.code_store import DamagedCode, keep, kept
from thin_ice.provenance.fingerprint import closure, fingerprint

MODULES = ["thin_ice.commands.prune", "thin_ice.pruning.lwm"]
PRINT = fingerprint(MODULES)


@pytest.fixture
def path(tmp_path):
    return keep(tmp_path / "code", MODULES)


def test_sources_are_kept_under_the_fingerprint_that_jobs_name(path):
    assert path.stem == PRINT
    files = kept(path.parent, PRINT)
    assert "thin_ice/pruning/lwm.py" in files
    modules = {name for name in closure(MODULES) if name != "thin_ice.tables"}
    assert len([name for name in files if name.endswith(".py")]) == len(modules)


def test_a_file_beside_a_module_is_kept_with_it(tmp_path):
    files = kept(tmp_path, keep(tmp_path, ["thin_ice.commands.report"]).stem)
    assert "{{ root }}" in files["thin_ice/figures/report.html.j2"]


def test_keeping_again_leaves_the_file_as_it_is(path):
    path.write_text(path.read_text() + "\n")
    before = path.stat().st_mtime_ns
    assert keep(path.parent, MODULES) == path
    assert path.stat().st_mtime_ns == before


def test_what_was_never_kept_is_none(path):
    assert kept(path.parent, "0" * 64) is None


def test_a_change_of_code_is_noticed_and_one_of_prose_is_none(path):
    files = json.loads(path.read_text())
    name = "thin_ice/pruning/lwm.py"
    path.write_text(json.dumps(files | {name: files[name] + "\n# a remark\n"}))
    assert kept(path.parent, PRINT)[name].endswith("# a remark\n")
    path.write_text(json.dumps(files | {name: files[name] + "\nANSWER = 42\n"}))
    with pytest.raises(DamagedCode, match="other sources than its name says"):
        kept(path.parent, PRINT)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a.py": 1}', '{"a.py": "def"}', "\x00"])
def test_what_is_no_sources_is_refused(path, text):
    path.write_text(text)
    with pytest.raises(DamagedCode):
        kept(path.parent, PRINT)

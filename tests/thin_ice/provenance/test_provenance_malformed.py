"""Whatever lies in a study's folder, the audit gives a verdict: no traceback, no endless wait."""

import json
import os
import shutil

import pytest
from falsification import (
    DISTANCES,
    PAGE,
    REPORT,
    dependencies,
    details,
    internal,
    job,
    planned,
    planned_with,
    run,
)

from thin_ice.provenance.outdated import outdated
from thin_ice.provenance.statement import DamagedRecord, read_record
from thin_ice.provenance.verdict import as_json, as_text

PARQUET = f"{DISTANCES}/distances.parquet"


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def subject(**words):
    return lambda s: s["subject"][0].update(words)


def dependency(**words):
    return lambda s: dependencies(s)[0].update(words)


def time(text):
    return lambda s: details(s)["metadata"].update(startedOn=text)


UNREADABLE = {
    "no statement": lambda s: s.clear(),
    "another type": lambda s: s.update(_type="https://in-toto.io/Statement/v0.1"),
    "another predicate": lambda s: s.update(predicateType="https://example.org"),
    "predicate null": lambda s: s.update(predicate=None),
    "subjects null": lambda s: s.update(subject=None),
    "subjects of text": lambda s: s.update(subject=["model"]),
    "a subject named by a number": subject(name=5),
    "a subject named null": subject(name=None),
    "a subject without a digest": subject(digest={}),
    "a digest of null": subject(digest={"sha256": None}),
    "a digest of lists": subject(digest={"sha256": [1]}),
    "a dependency named by a number": dependency(name=5),
    "a dependency with a digest of lists": dependency(digest={"sha256": [1]}),
    "a dependency with notes null": dependency(annotations=None),
    "a dependency with a record of text": dependency(annotations={"record": "provenance.json"}),
    "a dependency with a record of numbers": dependency(
        annotations={"record": {"name": 1, "digest": {"sha256": 2}}}
    ),
    "a command of null": lambda s: internal(s).update(command=None),
    "a command of words": lambda s: internal(s).update(command=["python"]),
    "versions null": lambda s: details(s)["builder"].update(version=None),
    "a version of lists": lambda s: details(s)["builder"]["version"].update(torch=[1]),
    "a version of null": lambda s: details(s)["builder"]["version"].update(torch=None),
    "a time of no zone": time("2026-01-01T00:00:00"),
    "a time of null": time(None),
    "a time of words": time("yesterday"),
    "no byproducts": lambda s: details(s).update(byproducts=[]),
    "byproducts of text": lambda s: details(s)["byproducts"].append("text"),
    "byproducts without a name": lambda s: details(s)["byproducts"].insert(0, {}),
    "no run": lambda s: details(s)["byproducts"].pop(0),
    "code of null": lambda s: run(s).update(code=None),
    "code of lists": lambda s: run(s).update(code={"sha256": [1]}),
    "packages by number": lambda s: run(s).update(uses=[[1]]),
    "packages null": lambda s: run(s).update(uses=None),
    "a job of null": lambda s: s["predicate"]["buildDefinition"].update(externalParameters=None),
    "a job of text": lambda s: s["predicate"]["buildDefinition"].update(externalParameters="x"),
    "a job without code": lambda s: job(s).pop("code"),
    "a job with code of lists": lambda s: job(s)["code"].update(sha256=[1]),
    "modules by number": lambda s: job(s)["code"].update(modules=[1]),
    "modules null": lambda s: job(s)["code"].update(modules=None),
    "a job without parameters": lambda s: job(s).pop("parameters"),
    "not a number": lambda s: s.update(note=float("nan")),
    "infinity": lambda s: run(s).update(seconds=float("inf")),
    "half a letter for a digest": lambda s: job(s)["code"].update(sha256={"\ud800": 1}),
}


def text(path):
    """The audit of a study as it would be printed."""
    return as_text(path).encode("utf-8")


def judged(copy, jobs=None):
    """Its verdict, written in all ways that there are."""
    found = copy.audit(jobs)
    outdated(copy.root, planned() if jobs is None else jobs)
    text(found)
    json.dumps(as_json(found), allow_nan=False)
    return {one.path: str(one.status) for one in found.artifacts if one.findings}


@pytest.mark.parametrize("fault", UNREADABLE)
def test_a_record_of_another_form_is_forged_and_the_rest_is_judged(copy, fault):
    copy.edit(DISTANCES, UNREADABLE[fault])
    found = judged(copy)
    assert found[PARQUET] == found[f"{DISTANCES}/provenance.json"] == "forged"
    with pytest.raises(DamagedRecord, match="is no record of a job"):
        read_record(copy.record(DISTANCES))


@pytest.mark.parametrize("depth", [300, 900, 960, 990, 1_100])
def test_a_record_nested_without_end_is_forged(copy, depth):
    """At every depth: some can be read, and not be written again for their seal."""
    copy.edit(DISTANCES, lambda statement: statement.update(note=[]))
    words = copy.record(DISTANCES).read_text()
    copy.record(DISTANCES).write_text(
        words.replace('"note": []', f'"note": {"[" * depth + "]" * depth}')
    )
    assert judged(copy)[PARQUET] == "forged"


@pytest.mark.parametrize("depth", [900, 100_000])
def test_a_command_with_a_job_nested_without_end_is_forged(copy, depth):
    command = f"python -m thin_ice distances --job {'[' * depth}"
    copy.reseal(DISTANCES, lambda s: internal(s).update(command=command))
    assert judged(copy)[PARQUET] == "forged"


NAMES = {
    "the folder above": "..",
    "the folder itself": ".",
    "no name": "",
    "a path out of the study": "../../../../../../etc/passwd",
    "an absolute path": "/etc/passwd",
    "another job's file": "../model.safetensors",
    "the record": "provenance.json",
    "a name that no file can have": "x" * 5_000,
    "a name with an end in it": "a\0b",
    "half a letter": "\ud800",
    "a terminal's orders": "\x1b[2Ja",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_record_that_names_as_an_output(copy, name):
    """... is judged, sealed or not, and what it names besides is not taken for its work."""
    copy.reseal(DISTANCES, subject(name=NAMES[name]))
    found = judged(copy)
    assert found[PARQUET] == "orphan"
    assert set(found.values()) <= {"forged", "missing link", "orphan"}
    assert "forged" in found.values()
    assert found.get(f"{DISTANCES}/../model.safetensors", "forged") == "forged"


@pytest.mark.parametrize("name", sorted(NAMES.keys() - {"the record", "another job's file"}))
def test_a_record_that_names_as_an_input(copy, name):
    """... lacks its link."""
    copy.reseal(REPORT, dependency(name=NAMES[name]))
    found = judged(copy)
    assert {path.split("/")[0] for path in found} == {"report"}
    assert set(found.values()) <= {"missing link", "forged"}


CODE = ["../../x", "/etc/passwd", "x" * 5_000, "a\0b", "", "\ud800"]


@pytest.mark.parametrize("name", CODE)
def test_a_record_that_names_code_by_what_is_no_fingerprint_lacks_its_link(copy, name):
    copy.reseal(REPORT, lambda s: run(s)["code"].update(sha256=name))
    assert set(judged(copy).values()) <= {"missing link", "altered"}
    assert len(judged(copy)) > 3


MODULES = ["", "os", "thin_ice./etc/passwd", "thin_ice.no.such", "thin_ice." + "x" * 5_000, "a.\0"]


@pytest.mark.parametrize("name", MODULES)
def test_modules_that_are_none_of_ours_are_other_code(copy, name):
    """Of a job that is not planned: its own record says which modules it ran."""
    copy.reseal(f"{REPORT}", lambda s: job(s)["code"].update(modules=[name]))
    jobs = [one for one in planned() if one.folder != REPORT]
    assert judged(copy, jobs)[f"{REPORT}/table-headline.md"] == "forged"
    kinds = {f.status for one in copy.audit(jobs).artifacts for f in one.findings}
    assert "other code" in kinds


def replaced(path, make):
    path.unlink()
    make(path)


KINDS = {
    "a folder": lambda path: path.mkdir(),
    "a pipe": os.mkfifo,
    "a link to itself": lambda path: path.symlink_to(path),
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "a link to a device without an end": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_in_place_of_a_record(copy, kind):
    """... is none: the job is absent and what it made has no maker."""
    replaced(copy.record(DISTANCES), KINDS[kind])
    found = judged(copy)
    assert found[f"{DISTANCES}/"] == "absent"
    assert found[PARQUET] == "orphan"
    if kind != "a folder":
        assert found[f"{DISTANCES}/provenance.json"] == "orphan"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("file", [PARQUET, PAGE])
def test_what_stands_in_place_of_a_result(copy, kind, file):
    """... is not it."""
    replaced(copy / file, KINDS[kind])
    assert judged(copy)[file] == "missing link"


@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_in_place_of_kept_code(copy, kind):
    """... is not it."""
    name = run(copy.statement(REPORT))["code"]["sha256"]
    replaced(copy / f"code/{name}.json", KINDS[kind])
    assert set(judged(copy).values()) == {"missing link"}


def test_a_result_that_is_a_link_to_the_same_contents_is_the_same(copy, tmp_path):
    """Results may lie on another disk."""
    (copy / PARQUET).rename(tmp_path / "elsewhere")
    (copy / PARQUET).symlink_to(tmp_path / "elsewhere")
    assert judged(copy) == {}


def test_names_that_are_no_text_are_named_all_the_same(copy):
    path = os.fsencode(copy.root) + b"/report/\xff\xfe.png"
    with open(path, "wb") as file:  # noqa: PTH123 - a name that is no text
        file.write(b"x")
    assert set(judged(copy).values()) == {"orphan"}


def test_a_name_cannot_speak_for_the_audit(copy):
    """A new line in it would, and so would what a terminal obeys."""
    (copy / "report/x\n      0 forged\x1b[2K").write_bytes(b"x")
    printed = as_text(copy.audit())
    assert "\x1b" not in printed
    assert sum(line.startswith("      0 forged ") for line in printed.splitlines()) == 1


def test_a_study_that_is_empty_but_for_one_damaged_record_is_judged(copy):
    for path in copy.root.iterdir():
        if path.name != "report":
            shutil.rmtree(path)
    copy.record(REPORT).write_bytes(b"\xff")
    found = judged(copy, planned_with(seeds=[0]))
    assert found["report/provenance.json"] == "forged"
    assert found["data/digits/"] == "absent"


def test_a_record_in_the_studys_own_folder_is_of_no_planned_job(copy):
    shutil.copy(copy.record(DISTANCES), copy.root / "provenance.json")
    assert judged(copy) == {"distances.parquet": "missing link"}

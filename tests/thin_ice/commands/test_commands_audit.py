"""``python -m thin_ice audit`` and ``sign``: for anyone with the folder and little else."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from falsification import DISTANCES, MEASURED_FROM, PAGE, REPORT, Copy, copied, folders

import thin_ice
from thin_ice.commands.cli import main
from thin_ice.provenance.signing import new_key

PARQUET = f"{DISTANCES}/distances.parquet"


@pytest.fixture(scope="session")
def signed(finished, tmp_path_factory):
    """A folder with an honest study, signed, and two keys: the signer's and another."""
    place = tmp_path_factory.mktemp("signed")
    shutil.copytree(finished, place / "tiny")
    new_key(place / "key")
    assert main(["sign", str(place / "tiny"), "--key", str(place / "key")]) == 0
    new_key(place / "other")
    return place


@pytest.fixture
def copy(signed, tmp_path) -> Copy:
    return copied(signed / "tiny", tmp_path / "tiny")


@pytest.fixture
def say(capsys):
    """What a command of this process prints, with its status."""

    def call(*words):
        capsys.readouterr()
        status = int(main([str(word) for word in words]))
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return call


def in_a_process(words, folder, *path):
    package = Path(thin_ice.__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (*path, package)))}
    command = [sys.executable, "-m", "thin_ice", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder)


def without(folder, *names):
    """A folder whose modules of these names cannot be imported."""
    folder.mkdir()
    for name in names:
        (folder / f"{name}.py").write_text(f"raise ImportError('there is no {name}')")
    return folder


def counts(text):
    """The numbers of the printed table, by status."""
    rows = [line for line in text.splitlines() if line[:7].strip().isdigit()]
    total, *rest = rows
    assert total.split()[1:] == ["artifacts"]
    return int(total.split()[0]), {row[8:22].strip(): int(row[:7]) for row in rest}


def test_an_honest_study_passes_where_there_is_no_torch_snakemake_or_pandas(copy, tmp_path):
    """Copied from where it was made, which is gone, and from another folder."""
    (tmp_path / "elsewhere").mkdir()
    broken = without(tmp_path / "broken", "torch", "snakemake", "pandas", "sklearn")
    words = ("audit", copy.root, "--study", copy / "study/study.yaml")
    done = in_a_process(words, tmp_path / "elsewhere", broken)
    assert (done.returncode, done.stderr) == (0, "")
    total, by_status = counts(done.stdout)
    assert by_status.pop("intact") == total > 40
    assert set(by_status.values()) == {0}
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_relative_path_and_the_study_that_was_saved_are_enough(copy):
    done = in_a_process(("audit", "tiny", "--json"), copy.root.parent)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["sound"] is True
    assert "held against tiny/study/study.yaml" in found["remarks"]


def test_a_lie_ends_with_status_1_in_a_process_too(copy, tmp_path):
    copy.flip(PARQUET)
    done = in_a_process(("audit", copy.root), tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    assert f"altered         {PARQUET}\n" in done.stdout


def test_names_that_are_no_text_are_printed_where_output_is_strict(copy, tmp_path):
    (tmp_path / "tiny/report" / os.fsdecode(b"\xff.png")).write_bytes(b"x")
    done = in_a_process(("audit", copy.root), tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    assert "orphan          report/\\udcff.png" in done.stdout


def test_data_and_table_agree(copy, say, tmp_path):
    copy.flip(PARQUET)
    copy.record(REPORT).unlink()
    (copy / "extra").write_text("x")
    status, printed, _ = say("audit", copy.root)
    again, data, _ = say("audit", copy.root, "--json")
    to_file, printed_too, _ = say("audit", copy.root, "--json", tmp_path / "out.json")
    assert status == again == to_file == 1
    assert printed == printed_too
    found = json.loads(data)
    assert found == json.loads((tmp_path / "out.json").read_text())
    total, by_status = counts(printed)
    assert total == len(found["artifacts"]) == sum(found["counts"].values())
    assert by_status == found["counts"]
    assert found["sound"] is False
    for one in found["artifacts"]:
        if one["findings"]:
            assert f"{one['status']:<15} {one['path']}\n" in printed
        assert one["sound"] == (not one["findings"] and not one["rests_on"])


def test_what_is_allowed_does_not_count_and_is_said_all_the_same(copy, say):
    copy.flip(PARQUET)
    status, printed, _ = say("audit", copy.root, "--allow", "altered")
    assert status == 0
    assert f"altered         {PARQUET}\n" in printed
    assert say("audit", copy.root, "--allow", "stale", "forged", "orphan")[0] == 1


def test_allowing_one_finding_of_an_artifact_does_not_allow_its_others(copy, say):
    """Altered and forged at once: neither excuses the other."""
    copy.flip(PARQUET)
    copy.edit(DISTANCES, lambda statement: statement.update(note="x"))
    assert say("audit", copy.root, "--allow", "forged")[0] == 1
    assert say("audit", copy.root, "--allow", "altered")[0] == 1
    assert say("audit", copy.root, "--allow", "altered", "forged")[0] == 0


def test_intact_and_unknown_words_cannot_be_allowed(copy, capsys):
    for word in ("intact", "everything"):
        with pytest.raises(SystemExit) as end:
            main(["audit", str(copy.root), "--allow", word])
        assert end.value.code == 2
        assert "invalid choice" in capsys.readouterr().err


def root_of(say, copy):
    return json.loads(say("audit", copy.root, "--json")[1])["root"]


def test_the_root_of_a_published_report_is_held_against_the_study(copy, say):
    published = root_of(say, copy)
    assert published in (copy / PAGE).read_text()
    assert say("audit", copy.root, "--root", published)[0] == 0
    status, printed, _ = say("audit", copy.root, "--root", "0" * 64)
    assert status == 1
    assert f"the root digest is not {'0' * 64}" in printed


def test_a_study_rewritten_whole_passes_without_a_root_and_not_with_it(copy, say):
    published = root_of(say, copy)
    copy.flip(PARQUET)
    ordered = [name for name in folders() if name in (DISTANCES, *MEASURED_FROM)]
    copy.rewrite([*ordered, REPORT])
    copy.print_root()
    copy.rewrite([REPORT])
    assert say("audit", copy.root)[0] == 0
    assert say("audit", copy.root, "--root", published)[0] == 1


def test_a_wrong_root_is_data_where_data_is_asked_for(copy, say):
    """A line after it would be no JSON."""
    status, printed, _ = say("audit", copy.root, "--json", "--root", "0" * 64)
    assert status == 1
    assert json.loads(printed)["sound"] is True


def test_a_root_is_asked_for_and_there_is_no_report(copy, say):
    shutil.rmtree(copy / REPORT)
    words = ("audit", copy.root, "--allow", "absent")
    assert say(*words)[0] == 0
    assert say(*words, "--root", "0" * 64)[0] == 1


def test_signatures_are_asked_for_by_a_key(copy, signed, say):
    assert say("audit", copy.root, "--key", signed / "key.pub")[0] == 0
    assert say("audit", copy.root, "--key", signed / "other.pub")[0] == 1
    assert say("audit", copy.root, "--key", signed / "other.pub", signed / "key.pub")[0] == 0


@pytest.mark.parametrize("key", ["key", "none", "tiny", "tiny/study/study.yaml"])
def test_a_bad_key_ends_with_status_2_and_one_line(signed, say, key):
    status, printed, errors = say("audit", signed / "tiny", "--key", signed / key)
    assert (status, printed) == (2, "")
    (line,) = errors.splitlines()
    assert "is no public key" in line


LIES = {
    "altered": lambda copy: copy.flip(PARQUET),
    "forged": lambda copy: copy.edit(DISTANCES, lambda statement: statement.update(note="x")),
    "missing link": lambda copy: (copy / PARQUET).unlink(),
    "orphan": lambda copy: (copy / "extra").write_text("x"),
    "absent": lambda copy: shutil.rmtree(copy / REPORT),
}


@pytest.mark.parametrize("status", LIES)
def test_a_falsified_study_is_not_signed(copy, signed, say, status):
    for envelope in copy.root.rglob("provenance.dsse.json"):
        envelope.unlink()
    LIES[status](copy)
    code, printed, errors = say("sign", copy.root, "--key", signed / "key")
    assert (code, printed) == (2, "")
    (line,) = errors.splitlines()
    assert "is not sound: " in line
    assert f" is {status}: " in line
    assert not list(copy.root.rglob("provenance.dsse.json"))


def test_a_study_that_is_out_of_date_is_signed(copy, signed, say, tmp_path):
    study = yaml.safe_load((copy / "study/study.yaml").read_text())
    for part in (study, *study["methods"].values()):
        part["seeds"] = [0]
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(study))
    words = (copy.root, "--study", tmp_path / "other.yaml")
    assert say("audit", *words)[0] == 1
    assert say("sign", *words, "--key", signed / "key")[0] == 0


@pytest.mark.parametrize("key", ["key.pub", "none", "tiny"])
def test_a_study_is_signed_by_private_keys_alone(copy, signed, say, key):
    status, printed, errors = say("sign", copy.root, "--key", signed / key)
    assert (status, printed) == (2, "")
    assert len(errors.splitlines()) == 1


def test_a_new_key_is_made_once(say, tmp_path):
    assert say("sign", "--new-key", tmp_path / "new")[0] == 0
    kept = (tmp_path / "new").read_bytes()
    status, _, errors = say("sign", "--new-key", tmp_path / "new")
    assert (status, len(errors.splitlines())) == (2, 1)
    assert (tmp_path / "new").read_bytes() == kept


PLACES = {
    "empty": lambda place: place.mkdir(),
    "not there": lambda place: None,
    "a file": lambda place: place.write_text("x"),
    "of files": lambda place: (place.mkdir(), (place / "x.txt").write_text("x")),
    "of a folder for a record": lambda place: (place / "provenance.json").mkdir(parents=True),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("tool", ["audit", "sign"])
def test_what_is_no_study_ends_with_status_2_and_one_line(
    signed, say, tmp_path, place, named, tool
):
    """With a study to hold it against, and without."""
    PLACES[place](tmp_path / "place")
    words = [tool, tmp_path / "place"]
    words += ["--study", signed / "tiny/study/study.yaml"] if named else []
    words += ["--key", signed / "key"] if tool == "sign" else []
    status, printed, errors = say(*words)
    assert (status, printed) == (2, "")
    assert len(errors.splitlines()) == 1


STUDIES = [
    b"",
    b"seeds: [",
    b"\xff\xfe",
    b"5",
    b"name: tiny",
    b"a: &a [*a]",
    b"!!python/object:x {}",
]


@pytest.mark.parametrize("content", STUDIES)
def test_a_study_that_cannot_be_read_ends_with_status_2_and_one_line(copy, say, content):
    (copy / "study/study.yaml").write_bytes(content)
    status, printed, errors = say("audit", copy.root)
    assert (status, printed) == (2, "")
    assert errors.strip()
    assert "Traceback" not in errors


def test_a_second_audit_with_a_memory_agrees_and_sees_what_changed(copy, say, tmp_path):
    words = ("audit", copy.root, "--memory", tmp_path / "memory.json")
    assert say(*words) == say(*words) == say("audit", copy.root)
    table = copy / f"{REPORT}/table-headline.md"
    table.write_text(table.read_text() + "\n")
    status, printed, _ = say(*words)
    assert status == 1
    assert f"altered         {REPORT}/table-headline.md\n" in printed
    assert say(*words)[1] == printed == say("audit", copy.root)[1]


def test_the_limit_a_change_in_place_at_the_old_size_and_time_passes_with_a_memory(
    copy, say, tmp_path
):
    words = ("audit", copy.root, "--memory", tmp_path / "memory.json")
    assert say(*words)[0] == 0
    status = (copy / PARQUET).stat()
    copy.flip(PARQUET)
    os.utime(copy / PARQUET, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (copy / PARQUET).stat().st_ino == status.st_ino
    assert say(*words)[0] == 0
    assert say("audit", copy.root)[0] == 1


def test_the_audit_changes_nothing(copy, say):
    before = {path: path.stat().st_mtime_ns for path in copy.root.rglob("*")}
    assert say("audit", copy.root)[0] == 0
    assert before == {path: path.stat().st_mtime_ns for path in copy.root.rglob("*")}


@pytest.mark.parametrize("option", ["--json", "--memory"])
def test_a_file_that_cannot_be_written_ends_with_status_2_and_one_line(copy, say, tmp_path, option):
    (tmp_path / "there").mkdir()
    status, printed, errors = say("audit", copy.root, option, tmp_path / "there")
    assert (status, printed) == (2, "")
    assert len(errors.splitlines()) == 1

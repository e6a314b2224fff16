"""A record is an in-toto Statement that lets a stranger check every file and repeat the run."""

import datetime
import hashlib
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
from importlib.metadata import version

import pytest

from thin_ice.files import sha256
from thin_ice.provenance import machine
from thin_ice.provenance.machine import git_state, scheduler_job
from thin_ice.provenance.materials import material
from thin_ice.provenance.record import now, write_record

JOB = {
    "stage": "prune",
    "parameters": {"seed": 7, "plan": {"lr": 0.1}},
    "code": {"modules": ["thin_ice.commands.prune"], "sha256": "0123"},
}
ARGUMENTS = ["prune", "--job", '{"a": "it\'s"}', "--record", "results/my study/provenance.json"]


@pytest.fixture
def written(tmp_path, monkeypatch):
    """A record of one job with two inputs and two outputs, its folder, and the time before."""
    monkeypatch.setattr(sys, "argv", ["/somewhere/__main__.py", *ARGUMENTS])
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    folder = tmp_path / "results" / "run" / "seed0" / "lwm-0.9"
    inputs = [tmp_path / "results" / "data" / "dataset.bin", folder.parent / "dense" / "model.bin"]
    outputs = [folder / "model.bin", folder / "history.csv"]
    for number, path in enumerate([*inputs, *outputs]):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes([number]) * (number + 1))
    began = now()
    materials = [material(path) for path in inputs]
    write_record(folder / "provenance.json", JOB, materials, outputs, began, {"device": "cpu"})
    return folder, began


def statement(folder):
    return json.loads((folder / "provenance.json").read_text())


def digest(number):
    return {"sha256": hashlib.sha256(bytes([number]) * (number + 1)).hexdigest()}


def test_a_record_is_an_in_toto_statement_with_slsa_provenance(written):
    found = statement(written[0])
    assert found["_type"] == "https://in-toto.io/Statement/v1"
    assert found["predicateType"] == "https://slsa.dev/provenance/v1"
    assert set(found) == {"_type", "subject", "predicateType", "predicate"}
    assert set(found["predicate"]) == {"buildDefinition", "runDetails"}
    assert {"buildType", "externalParameters"} <= set(found["predicate"]["buildDefinition"])
    assert found["predicate"]["runDetails"]["builder"]["id"]


def test_outputs_and_inputs_stand_with_their_checksum_and_their_path_from_the_record(written):
    found = statement(written[0])
    assert found["subject"] == [
        {"name": "model.bin", "digest": digest(2)},
        {"name": "history.csv", "digest": digest(3)},
    ]
    assert found["predicate"]["buildDefinition"]["resolvedDependencies"] == [
        {"name": "../../../data/dataset.bin", "digest": digest(0)},
        {"name": "../dense/model.bin", "digest": digest(1)},
    ]


def test_in_a_copied_tree_every_name_still_leads_to_its_file(written, tmp_path):
    shutil.move(tmp_path / "results", tmp_path / "copy")
    folder = tmp_path / "copy" / "run" / "seed0" / "lwm-0.9"
    found = statement(folder)
    named = found["subject"] + found["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert len(named) == 4
    for file in named:
        assert sha256(folder / file["name"]) == file["digest"]["sha256"]


def test_the_paths_of_a_record_do_not_depend_on_the_working_folder(written, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path / "results")
    folder = written[0].relative_to(tmp_path / "results")
    write_record(folder / "again.json", JOB, [], [folder / "model.bin"], now(), {})
    again = json.loads((written[0] / "again.json").read_text())
    assert again["subject"] == [{"name": "model.bin", "digest": digest(2)}]


def test_the_parameters_are_the_jobs_and_the_command_runs_it_again(written):
    definition = statement(written[0])["predicate"]["buildDefinition"]
    assert definition["externalParameters"] == JOB
    command = definition["internalParameters"]["command"]
    assert shlex.split(command) == ["python", "-m", "thin_ice", *ARGUMENTS]


def test_the_software_is_listed_with_its_versions(written):
    versions = statement(written[0])["predicate"]["runDetails"]["builder"]["version"]
    assert versions["python"] == platform.python_version()
    for package in ("torch", "numpy", "pandas", "safetensors", "pyautoattack"):
        assert versions[package] == version(package)


def test_begin_and_end_are_utc_times_in_order(written):
    metadata = statement(written[0])["predicate"]["runDetails"]["metadata"]
    assert metadata["startedOn"] == written[1]
    began, ended = (
        datetime.datetime.fromisoformat(metadata[key]) for key in ("startedOn", "finishedOn")
    )
    assert began.utcoffset() == datetime.timedelta(0) == ended.utcoffset()
    age = datetime.datetime.now(datetime.UTC) - ended
    assert datetime.timedelta(0) <= age < datetime.timedelta(minutes=1)
    assert began <= ended


def test_the_run_is_described_by_machine_memory_checkout_and_the_jobs_own_facts(written):
    run, _ = statement(written[0])["predicate"]["runDetails"]["byproducts"]
    facts = run["annotations"]
    assert facts["host"] == platform.node()
    assert 5 < facts["peak_memory_mib"] < 100_000
    assert facts["device"] == "cpu"
    assert facts["seed"] == 7
    assert facts["processor"]
    assert {"python", "torch", "numpy"} <= set(facts["uses"])
    assert "seaborn" not in facts["uses"]  # nothing that prune can reach draws


def test_a_job_is_named_by_the_scheduler_or_else_by_its_process(written, monkeypatch):
    assert scheduler_job() == f"pid:{os.getpid()}"
    monkeypatch.setenv("SLURM_JOB_ID", "4711")
    assert scheduler_job() == "slurm:4711"


def test_without_one_of_its_outputs_there_is_no_record(written):
    folder = written[0]
    (folder / "provenance.json").unlink()
    (folder / "model.bin").unlink()
    with pytest.raises(FileNotFoundError):
        write_record(folder / "provenance.json", JOB, [], [folder / "model.bin"], now(), {})
    assert [path.name for path in folder.iterdir()] == ["history.csv"]


def test_a_fact_that_json_cannot_hold_is_refused(written):
    folder = written[0]
    with pytest.raises(ValueError, match="JSON"):
        write_record(folder / "other.json", JOB, [], [], now(), {"loss": float("nan")})
    assert not (folder / "other.json").exists()


def git(folder, *arguments):
    author = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    command = ["git", "-C", str(folder), *author, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A fresh git repository with one commit, taken for the library's own."""
    git(tmp_path, "init", "--quiet")
    (tmp_path / "file").write_text("first")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    monkeypatch.setattr(machine, "REPOSITORY", tmp_path)
    return tmp_path


def test_a_clean_checkout_is_named_by_its_commit(checkout):
    assert git_state() == {"commit": git(checkout, "rev-parse", "HEAD"), "dirty": False}


@pytest.mark.parametrize("name", ["file", "new"])
def test_a_change_or_a_new_file_makes_the_checkout_dirty(checkout, name):
    (checkout / name).write_text("second")
    assert git_state() == {"commit": git(checkout, "rev-parse", "HEAD"), "dirty": True}


def test_outside_a_checkout_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "REPOSITORY", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state() == {"commit": None, "dirty": None}


def test_without_git_there_is_no_commit(checkout, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert git_state() == {"commit": None, "dirty": None}


def test_the_checksum_of_a_file_is_its_sha_256(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256(path) == sha256(str(path)) == known
    path.write_bytes(bytes(3_000_000))
    assert sha256(path) == hashlib.sha256(bytes(3_000_000)).hexdigest()

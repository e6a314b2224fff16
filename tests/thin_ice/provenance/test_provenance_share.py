"""A dense network that somebody has trained already is taken, and only that very one."""

import json
import shutil

import pytest
from tiny_study import TINY, run_job

from thin_ice.commands.runner import SHARE
from thin_ice.files import sha256
from thin_ice.provenance.audit import audit
from thin_ice.provenance.evidence import gather
from thin_ice.provenance.planned import RECORD
from thin_ice.provenance.share import offer
from thin_ice.provenance.statement import read_record
from thin_ice.study.jobs import planned_jobs
from thin_ice.study.load import study_from


def run_dense(root, **changes):
    """Dataset and dense network of the tiny study, changed; the dense job's folder."""
    study = study_from(TINY | changes)
    jobs = planned_jobs(study)
    (dense,) = (job for job in jobs if job.stage == "dense")
    for job in jobs:
        if job.stage in ("dataset", "dense"):
            run_job(job, root)
    return root / dense.folder


def origin(folder):
    """What the record says of whom the result was taken from; None where it was computed here."""
    return read_record(folder / RECORD).run.get("shared")


@pytest.fixture
def share(tmp_path, monkeypatch):
    monkeypatch.setenv(SHARE, str(tmp_path / "share"))
    return tmp_path / "share"


@pytest.fixture
def first(tmp_path, share):
    """Who trains first finds nothing, and leaves the result."""
    folder = run_dense(tmp_path / "first")
    assert origin(folder) is None
    return folder


def entry(share):
    (path,) = share.glob("*/*")
    return path


def test_another_study_with_the_same_job_takes_the_result(first, tmp_path):
    named = {"name": "other", "methods": {"hydra": {}}, "sparsities": [0.9]}
    second = run_dense(tmp_path / "second", **named)
    for name in ("model.safetensors", "history.csv"):
        assert sha256(second / name) == sha256(first / name)
    taken = origin(second)
    assert taken["record_sha256"] == sha256(first / RECORD)
    assert read_record(second / RECORD).run["seconds"] == read_record(first / RECORD).run["seconds"]


def test_a_share_can_lie_on_another_file_system(tmp_path, monkeypatch, other_file_system):
    monkeypatch.setenv(SHARE, str(other_file_system))
    first, second = (run_dense(tmp_path / name) for name in ("first", "second"))
    assert origin(second)
    assert sha256(second / "model.safetensors") == sha256(first / "model.safetensors")
    assert list(other_file_system.rglob(".*")) == []


def test_what_was_taken_passes_the_audit(first, tmp_path):
    second = run_dense(tmp_path / "second")
    assert origin(second)
    jobs = [j for j in planned_jobs(study_from(TINY)) if j.stage in ("dataset", "dense")]
    assert audit(gather(tmp_path / "second"), jobs).sound


OTHERS = {
    "seed": {"seeds": [1]},
    "objective": {"objectives": {"natural": {}}},
    "plan": {"training": {"dense": {"epochs": 1, "lr": 0.01}}},
    "data": {"datasets": {"digits": TINY["datasets"]["digits"] | {"limit_train": 90}}},
    "pinned software": {"rerun_on_upgrade": ["torch"]},
}


@pytest.mark.parametrize("changes", OTHERS.values(), ids=OTHERS)
def test_another_job_is_not_taken(first, tmp_path, changes):
    assert origin(run_dense(tmp_path / "second", **changes)) is None


def test_other_code_is_not_taken(first, share, tmp_path):
    """The key holds the fingerprint, and so does the record that is held against it."""
    record = entry(share) / RECORD
    text = record.read_text()
    code = read_record(record).code
    record.write_text(text.replace(code, "0" * 64))
    assert origin(run_dense(tmp_path / "second")) is None


@pytest.mark.parametrize("damage", ["model.safetensors", RECORD, "gone"])
def test_a_damaged_entry_is_passed_over(first, share, tmp_path, damage):
    if damage == "gone":
        (entry(share) / "model.safetensors").unlink()
    else:
        path = entry(share) / damage
        path.write_bytes(path.read_bytes()[:-9] + b"something")
    second = run_dense(tmp_path / "second")
    assert origin(second) is None
    assert sha256(second / "model.safetensors") == sha256(first / "model.safetensors")
    assert origin(run_dense(tmp_path / "third"))  # the second has put it right


def test_an_edit_of_what_was_taken_does_not_reach_the_share(first, share, tmp_path):
    second = run_dense(tmp_path / "second")
    (second / "model.safetensors").write_bytes(b"edited in place")
    assert sha256(entry(share) / "model.safetensors") == sha256(first / "model.safetensors")


def test_a_share_that_cannot_be_written_does_no_harm(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv(SHARE, str(tmp_path / "file"))
    assert origin(run_dense(tmp_path / "first")) is None


@pytest.mark.parametrize("named", [False, True])
def test_without_a_share_nothing_is_shared(tmp_path, monkeypatch, named):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(SHARE, "")
    if not named:
        monkeypatch.delenv(SHARE)
    run_dense(tmp_path / "first")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first"]


def test_the_second_of_two_offers_changes_nothing(first, share):
    before = {path.name: sha256(path) for path in entry(share).iterdir()}
    other = share.parent / "other"
    shutil.copytree(first, other)
    (other / RECORD).write_text(json.dumps({"later": True}))
    job = read_record(entry(share) / RECORD).job
    offer(share, entry(share).name, job, other.iterdir())
    assert {path.name: sha256(path) for path in entry(share).iterdir()} == before
    assert list(share.rglob(".*")) == []

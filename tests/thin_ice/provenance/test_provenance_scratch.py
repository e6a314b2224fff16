"""A copy of the dataset on a node's own disk changes nothing but where it is read."""

import os
import pwd
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_study import TINY, arguments_of, call, run_job

import thin_ice
from thin_ice.files import sha256
from thin_ice.provenance.materials import FalseInput, Material, material
from thin_ice.provenance.outdated import outdated
from thin_ice.provenance.planned import RECORD
from thin_ice.provenance.scratch import near
from thin_ice.provenance.statement import read_record
from thin_ice.study.jobs import planned_jobs
from thin_ice.study.load import study_from

JOBS = {job.stage: job for job in planned_jobs(study_from(TINY))}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The dataset of the tiny study, and a dense network that was trained without scratch."""
    root = tmp_path_factory.mktemp("made")
    for stage in ("dataset", "dense"):
        run_job(JOBS[stage], root)
    return root


@pytest.fixture
def shared(made, tmp_path):
    """The dataset with its record, on the shared disk."""
    shutil.copytree(made / "data", tmp_path / "shared" / "data")
    return tmp_path / "shared" / "data" / "digits" / "dataset.safetensors"


@pytest.fixture
def scratch(tmp_path):
    return tmp_path / "scratch"


def copies(scratch):
    return sorted(path for path in scratch.rglob("*") if not path.is_dir())


def spoil(path):
    """Other contents of the same size."""
    path.write_bytes(bytes(path.stat().st_size))


def dense(root, scratch):
    return call([*arguments_of(JOBS["dense"], root), "--scratch", str(scratch)])


def test_a_job_with_scratch_makes_the_same_and_records_the_same_input(made, shared, scratch):
    root = shared.parents[2]
    assert dense(root, scratch) == 0
    folder = JOBS["dense"].folder
    for name in ("model.safetensors", "history.csv"):
        assert sha256(root / folder / name) == sha256(made / folder / name)
    records = [read_record(place / folder / RECORD) for place in (root, made)]
    assert records[0].dependencies == records[1].dependencies
    assert outdated(root, [JOBS["dataset"], JOBS["dense"]]) == {}


def test_the_next_job_on_the_node_does_not_read_the_shared_file(shared, scratch):
    first, _ = near(shared, str(scratch))
    assert copies(scratch) == [first]
    spoil(shared)
    assert dense(shared.parents[2], scratch) == 0
    assert copies(scratch) == [first]


def test_the_input_is_described_as_without_scratch(shared, scratch):
    copy, described = near(shared, str(scratch))
    assert copy.is_relative_to(scratch)
    assert sha256(copy) == sha256(shared)
    assert described == material(shared)


def test_a_copy_with_another_digest_is_replaced(shared, scratch):
    copy, _ = near(shared, str(scratch))
    spoil(copy)
    again, described = near(shared, str(scratch))
    assert again == copy
    assert sha256(copy) == described.sha256 == sha256(shared)


def test_scratch_can_be_another_file_system(shared, other_file_system):
    copy, _ = near(shared, str(other_file_system))
    assert copies(other_file_system) == [copy]
    assert sha256(copy) == sha256(shared)


def test_a_user_without_a_name_has_a_copy(shared, scratch, monkeypatch):
    """As in a container, whose list of users need not have the one who started it."""
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    copy, _ = near(shared, str(scratch))
    assert copies(scratch) == [copy]


def test_variables_are_expanded_where_the_job_runs(shared, scratch, monkeypatch):
    monkeypatch.setenv("NODE", str(scratch))
    copy, _ = near(shared, "${NODE}/thin")
    assert copy.is_relative_to(scratch / "thin")


def file_in_the_way(scratch):
    scratch.write_text("no folder")
    return str(scratch)


def unset(scratch):
    return "$NOT_SET_ANYWHERE/scratch"


@pytest.mark.parametrize("where", [file_in_the_way, unset])
def test_where_nothing_can_be_written_the_shared_file_is_read(shared, scratch, messages, where):
    assert near(shared, where(scratch)) == (shared, material(shared))
    (warning,) = messages()
    assert "is read where it is" in warning
    assert not Path("$NOT_SET_ANYWHERE").exists()


def test_a_disk_that_fills_up_keeps_no_part_of_a_copy(shared, scratch, messages):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (shared.stat().st_size // 2, limits[1]))
    try:
        read, _ = near(shared, str(scratch))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert read == shared
    assert copies(scratch) == []
    assert len(messages()) == 1


def test_an_input_that_its_record_belies_is_refused_and_not_copied(shared, scratch):
    spoil(shared)
    with pytest.raises(FalseInput, match="not what its record says"):
        near(shared, str(scratch))
    assert copies(scratch) == []


def test_an_input_without_a_record_is_read_where_it_is(shared, scratch):
    (shared.parent / RECORD).unlink()
    assert near(shared, str(scratch)) == (shared, Material(shared, sha256(shared)))
    assert not scratch.exists()


def test_jobs_that_start_at_once_do_not_mind_each_other(shared, scratch):
    code = (
        "import sys, pathlib; from thin_ice.provenance.scratch import near; "
        "print(near(pathlib.Path(sys.argv[1]), sys.argv[2])[0])"
    )
    words = [sys.executable, "-c", code, str(shared), str(scratch)]
    library = os.environ | {"PYTHONPATH": str(Path(thin_ice.__file__).parents[1])}
    jobs = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=library) for _ in "1234"]
    found = {job.communicate()[0].strip() for job in jobs}
    (copy,) = copies(scratch)
    assert found == {str(copy)}
    assert sha256(copy) == sha256(shared)

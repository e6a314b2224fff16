"""The lock of a study's results: one holder at a time, and none that is dead."""

import errno
import fcntl
import os
import platform
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import thin_ice
from thin_ice.one_run import FILE, AlreadyRunning, NotWritable, RunLock

HOLDER = """
import sys, time
from thin_ice.one_run import RunLock
lock = RunLock(sys.argv[1], "noon")
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock."""
    own = {"PYTHONPATH": str(Path(thin_ice.__file__).parents[1])}
    words = [sys.executable, "-c", HOLDER, str(tmp_path)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=os.environ | own)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_run_is_told_who_runs_where_and_since_when(holder, tmp_path):
    with pytest.raises(AlreadyRunning) as error:
        RunLock(tmp_path, "later")
    who = f"process {holder.pid} on {platform.node()}, since noon"
    assert f"{tmp_path} is being made by {who}; wait" in str(error.value)


def test_a_killed_run_locks_nothing(holder, tmp_path):
    holder.kill()
    holder.wait()
    assert (tmp_path / FILE).is_file()
    RunLock(tmp_path, "later").release()


def test_a_released_lock_leaves_no_file_and_lets_the_next_in(tmp_path):
    for since in ("noon", "one", "two"):
        lock = RunLock(tmp_path / "results/study", since)
        with pytest.raises(AlreadyRunning, match=f"since {since}"):
            RunLock(tmp_path / "results/study", "later")
        lock.release()
        lock.release()
        assert list((tmp_path / "results/study").iterdir()) == []


def test_what_a_killed_run_wrote_is_not_mixed_with_who_runs_now(tmp_path):
    (tmp_path / FILE).write_text("{" + 300 * "x" + "}")
    lock = RunLock(tmp_path, "noon")
    with pytest.raises(AlreadyRunning, match="since noon"):
        RunLock(tmp_path, "later")
    lock.release()


@pytest.mark.parametrize("said", ["", "{", "[]", "{}", "3"])
def test_a_holder_that_has_not_said_who_it_is_is_another_process(tmp_path, said):
    (tmp_path / FILE).write_text(said)
    with (tmp_path / FILE).open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(AlreadyRunning, match="being made by another process; wait"):
            RunLock(tmp_path, "later")


def test_a_removed_file_does_not_let_two_in(tmp_path):
    """Somebody who opened the file before its holder removed it has locked nothing."""
    first = RunLock(tmp_path, "noon")
    (tmp_path / FILE).unlink()
    second = RunLock(tmp_path, "one")
    with pytest.raises(AlreadyRunning, match="since one"):
        RunLock(tmp_path, "later")
    second.release()
    first.release()


def test_letting_go_of_a_removed_file_leaves_the_next_runs(tmp_path):
    first = RunLock(tmp_path, "noon")
    (tmp_path / FILE).unlink()
    second = RunLock(tmp_path, "one")
    first.release()
    with pytest.raises(AlreadyRunning, match="since one"):
        RunLock(tmp_path, "later")
    second.release()
    assert list(tmp_path.iterdir()) == []


def no_folder(folder):
    folder.write_text("a file in the way")


def no_file(folder):
    """What another user's file is to whoever may not write it: opening it fails."""
    (folder / FILE).mkdir(parents=True)


@pytest.mark.parametrize("spoil", [no_folder, no_file])
def test_results_that_cannot_be_written_are_one_sentence(tmp_path, spoil):
    spoil(tmp_path / "study")
    with pytest.raises(NotWritable, match=f"cannot lock .*study for this run: .*{FILE}$"):
        RunLock(tmp_path / "study", "noon")


def test_a_full_disk_is_one_sentence(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(NotWritable, match="cannot lock"):
            RunLock(tmp_path, "noon").release()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_file_system_without_locks_is_warned_of_and_written_to(tmp_path, monkeypatch, messages):
    def refused(descriptor, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refused)
    lock = RunLock(tmp_path, "noon")
    (warning,) = messages()
    assert "No locks available; see that no other run writes" in warning
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_a_fork_of_the_run_does_not_let_go(tmp_path):
    lock = RunLock(tmp_path, "noon")
    if (child := os.fork()) == 0:
        lock.release()
        os._exit(0)
    os.waitpid(child, 0)
    assert (tmp_path / FILE).is_file()
    with pytest.raises(AlreadyRunning):
        RunLock(tmp_path, "later")
    lock.release()


def test_a_file_removed_between_opening_and_locking_is_not_what_is_held(tmp_path, monkeypatch):
    real, calls = fcntl.flock, []

    def removed_first(descriptor, how):
        if not calls:
            (tmp_path / FILE).unlink()
        calls.append(descriptor)
        real(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", removed_first)
    lock = RunLock(tmp_path, "noon")
    with pytest.raises(AlreadyRunning, match="since noon"):
        RunLock(tmp_path, "later")
    lock.release()

"""A log says how far its job is, whenever it is read."""

import logging
import os
import platform
import subprocess
import sys
import time

import pytest

from thin_ice import joblog
from thin_ice.commands.terminal import log_to
from thin_ice.joblog import last_attempt
from thin_ice.progress import Progress

STAMP = "2026-03-01 12:00:00,000"
HERE = f"{STAMP} INFO started on {platform.node()}, pid {os.getpid()}\n"
AWAY = f"{STAMP} INFO started on elsewhere, pid 7, Slurm job 41_2\n"
EPOCH = STAMP + " INFO epoch {}/300  loss 0.5  validation 81.2/40.1  left 1:02:03\n"
ERROR = f"{STAMP} ERROR stage dense failed\nTraceback (most recent call last):\n  File\n"


@pytest.fixture
def log(tmp_path):
    """Writes a log; what is read from it."""

    def write(text, age_s=0):
        path = tmp_path / "dense.log"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        os.utime(path, (time.time() - age_s,) * 2)
        return last_attempt(path)

    return write


def test_without_a_log_there_is_no_attempt(tmp_path):
    assert last_attempt(tmp_path / "dense.log") is None


def test_what_the_library_writes_is_what_is_read(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    path = tmp_path / "dense.log"
    try:
        log_to(path)
        joblog.say_started()
        Progress("epoch", 10, done=6).advance({"loss": "0.5", "robust": "3/9"})
        Progress("batch", 2).advance({})
    finally:
        logging.getLogger("thin_ice").handlers.clear()
    found = last_attempt(path)
    assert (found.host, found.pid, found.slurm) == (platform.node(), os.getpid(), "77")
    assert (found.unit, found.done, found.total, found.facts) == ("batch", 1, 2, "")
    assert found.left_s == 0
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    found = last_attempt(path)
    assert (found.unit, found.done, found.total) == ("epoch", 7, 10)
    assert found.facts == "loss 0.5  robust 3/9"


STATES = {
    "an empty log": ("", "running"),
    "a start": (HERE, "running"),
    "progress": (HERE + EPOCH.format(3), "running"),
    "a warning": (HERE + f"{STAMP} WARNING this code is not what\n", "running"),
    "an end": (HERE + f"{STAMP} INFO done in 3.1 s: x/provenance.json\n", "ended"),
    "a result of others": (HERE + f"{STAMP} INFO taken from /share: x\n", "ended"),
    "an error": (HERE + EPOCH.format(3) + ERROR, "failed"),
    "a signal": (HERE + f"{STAMP} ERROR asked to end by SIGTERM; run again\n", "stopped"),
    "a crash": (HERE + "Fatal Python error: Segmentation fault\n\nThread 0x7\n", "failed"),
    "a new attempt after an error": (HERE + ERROR + HERE, "running"),
    "a new attempt after a signal": (
        AWAY + f"{STAMP} ERROR asked to end by SIGUSR1; run again\n" + AWAY + EPOCH.format(9),
        "running",
    ),
    "half a line of an end": (HERE + f"{STAMP} INFO do", "running"),
    "half a character": ((HERE + EPOCH.format(3)).encode() + "ü".encode()[:1], "running"),
}


@pytest.mark.parametrize("name", STATES)
def test_the_last_attempt_decides(log, name):
    text, state = STATES[name]
    assert log(text).state == state


def test_of_a_short_log_every_line_is_kept(log):
    assert log(HERE + EPOCH.format(3)).lines == (HERE.strip(), EPOCH.format(3).strip())


def test_a_clock_that_is_ahead_makes_no_negative_age(log):
    assert log(HERE, age_s=-100).age_s == 0


def test_a_process_of_another_user_is_not_gone(log, monkeypatch):
    def refused(pid, number):
        raise PermissionError

    monkeypatch.setattr(os, "kill", refused)
    assert log(HERE).state == "running"


def test_a_half_written_line_of_progress_leaves_the_one_before(log):
    found = log(AWAY + EPOCH.format(41) + EPOCH.format(42)[:-9])
    assert (found.done, found.total, found.left_s) == (41, 300, 3723)


def test_only_lines_of_the_last_attempt_count_for_progress(log):
    found = log(AWAY + EPOCH.format(41) + ERROR + HERE)
    assert found.unit is None
    assert found.lines == (HERE.rstrip("\n"),)


def test_of_a_job_elsewhere_the_silence_is_all_that_is_known(log):
    found = log(AWAY + EPOCH.format(41), age_s=7200)
    assert found.state == "running"
    assert not found.killed
    assert found.age_s == pytest.approx(7200, abs=30)
    assert (found.host, found.slurm) == ("elsewhere", "41_2")


def test_a_process_of_this_machine_that_is_gone_was_killed(log):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    gone = HERE.replace(f"pid {os.getpid()}", f"pid {process.pid}")
    found = log(gone + EPOCH.format(41))
    assert (found.state, found.killed) == ("failed", True)
    found = log(gone + f"{STAMP} INFO done in 3.1 s: x\n")
    assert (found.state, found.killed) == ("ended", False)
    found = log(gone.replace(platform.node(), "elsewhere") + EPOCH.format(41))
    assert (found.state, found.killed) == ("running", False)


def test_of_a_long_log_the_end_is_kept_and_where_its_attempt_began(log, monkeypatch):
    lines = [EPOCH.format(n) for n in range(300)]
    monkeypatch.setattr(joblog, "TAIL", 10 * len(lines[-1]) + 5)
    found = log((HERE + ERROR + AWAY).encode() + b"\xff\n" + "".join(lines).encode())
    assert found.done == 299
    assert found.lines == tuple(line.rstrip("\n") for line in lines[-10:])
    assert (found.host, found.pid, found.slurm) == ("elsewhere", 7, "41_2")
    assert log("".join(lines)).host is None


def test_a_process_with_a_long_log_that_is_gone_was_killed(log, monkeypatch):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    monkeypatch.setattr(joblog, "TAIL", 200)
    gone = HERE.replace(f"pid {os.getpid()}", f"pid {process.pid}")
    found = log(gone + "".join(EPOCH.format(n) for n in range(30)))
    assert (found.state, found.killed) == ("failed", True)

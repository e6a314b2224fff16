"""Jobs that share GPUs claim one each; real processes."""

import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
from tiny_study import TINY, arguments_of, run_job

import thin_ice
from thin_ice.study.jobs import planned_jobs
from thin_ice.study.load import study_from

LIBRARY = Path(thin_ice.__file__).parents[1]
HOLDER = """
import sys, time
from thin_ice import gpus
gpus.settle(True)
print(gpus.visible()["visible_devices"], time.monotonic(), flush=True)
time.sleep(float(sys.argv[1]))
print(time.monotonic(), flush=True)
"""
OTHER = "from thin_ice import gpus; gpus.settle(False); print(gpus.visible())"


@pytest.fixture
def start(tmp_path):
    """Starts a process that runs some code beside others that share GPUs; ended after the test."""
    started = []

    def make(code, *arguments, number="3", **variables):
        clean = {k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"}
        own = {"PYTHONPATH": str(LIBRARY), "TMPDIR": str(tmp_path), "THIN_ICE_GPUS": number}
        words = [sys.executable, "-c", code, *map(str, arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(words, env=clean | own | variables, **pipes))
        return started[-1]

    yield make
    for process in started:
        process.kill()
        process.communicate()


def held(process):
    """The device of a process that has claimed one."""
    return process.stdout.readline().split()[0]


def test_six_jobs_on_three_devices_never_share_one(start):
    jobs = [start(HOLDER, 0.5) for _ in range(6)]
    times = {}
    for job in jobs:
        said, complaint = job.communicate(timeout=60)
        device, since, until = said.split()
        times.setdefault(device, []).append((float(since), float(until)))
        assert complaint in ("", "waiting for a GPU: 0, 1, 2 are in use\n")  # once
    assert set(times) <= {"0", "1", "2"}
    for spans in times.values():
        spans.sort()
        assert all(one[1] <= other[0] for one, other in pairwise(spans))


def test_a_job_that_has_a_device_keeps_it_and_takes_no_other(start):
    again = HOLDER.replace(
        "print(gpus.vis", "gpus.settle(True); gpus.settle(False)\nprint(gpus.vis"
    )
    said, complaint = start(again, 0, number="2").communicate(timeout=30)
    assert (said.split()[0], complaint) == ("0", "")


def test_a_killed_job_frees_its_device(start):
    first = start(HOLDER, 60, number="1")
    assert held(first) == "0"
    second = start(HOLDER, 0, number="1")
    assert "waiting for a GPU: 0" in second.stderr.readline()
    assert second.poll() is None
    first.send_signal(signal.SIGKILL)
    assert held(second) == "0"


def test_a_list_of_devices_is_what_is_claimed_from(start):
    listed = {"CUDA_VISIBLE_DEVICES": "GPU-7f3a, 5,2"}
    jobs = [start(HOLDER, 60, number="2", **listed) for _ in range(2)]
    assert {held(job) for job in jobs} == {"GPU-7f3a", "5"}
    third = start(HOLDER, 60, number="2", **listed)
    assert "waiting for a GPU: GPU-7f3a, 5" in third.stderr.readline()


@pytest.mark.parametrize("listed", ["", "-1", "-1,3"])
def test_where_no_device_is_visible_none_is_claimed(start, listed):
    said, complaint = start(HOLDER, 0, CUDA_VISIBLE_DEVICES=listed).communicate(timeout=60)
    assert (len(said.split()), complaint) == (2, "")  # no device, and two times


def test_a_job_that_computes_on_no_network_sees_no_device_and_waits_for_none(start):
    first = start(HOLDER, 60, number="1")
    assert held(first) == "0"
    began = time.monotonic()
    assert start(OTHER, number="1").communicate(timeout=60)[0] == "{'visible_devices': ''}\n"
    assert time.monotonic() - began < 30


def test_stages_on_networks_wait_for_a_device_and_no_others(start):
    stage = "import sys; from thin_ice.commands.runner import main; main(sys.argv[1], [])"
    assert held(start(HOLDER, 60, number="1")) == "0"
    for waits_not in ("study", "dataset", "report"):
        said = start(stage, waits_not, number="1").communicate(timeout=60)[1]
        assert "the following arguments are required: --job" in said
    assert "waiting for a GPU: 0" in start(stage, "rivals", number="1").stderr.readline()


def test_nothing_changes_where_jobs_share_no_gpus(start):
    assert start(OTHER, number="").communicate(timeout=60)[0] == "{}\n"
    listed = {"CUDA_VISIBLE_DEVICES": "3"}
    said = start(OTHER, number="", **listed).communicate(timeout=60)[0]
    assert said == "{'visible_devices': '3'}\n"


def test_a_user_without_a_name_claims_a_device(start):
    """As in a container, whose list of users need not have the one who started it."""
    nameless = "import os, pwd\npwd.getpwuid = {}.__getitem__\n"
    unnamed = dict.fromkeys(("LOGNAME", "USER", "LNAME", "USERNAME"), "")
    assert held(start(nameless + HOLDER, 0, number="1", **unnamed)) == "0"


def test_a_claim_that_cannot_be_written_is_one_sentence(start, tmp_path):
    """Somebody's link in the way: it is not followed."""
    (tmp_path / f"thin-ice-{os.getuid()}-gpu-0.lock").symlink_to(tmp_path / "elsewhere")
    said, complaint = start(HOLDER, 0, number="1").communicate(timeout=60)
    assert said == ""
    assert "ThinIceError: cannot claim GPU 0: " in complaint
    assert "TMPDIR can name another folder" in complaint
    assert not (tmp_path / "elsewhere").exists()


def test_a_job_that_claimed_a_gpu_that_is_not_there_says_that_it_runs_on_the_cpu(tmp_path):
    """More were announced than there are: an unknown device is one that no machine has."""
    jobs = {job.stage: job for job in planned_jobs(study_from(TINY))}
    run_job(jobs["dataset"], tmp_path)
    words = [sys.executable, "-m", "thin_ice", *arguments_of(jobs["dense"], tmp_path)]
    own = {"TMPDIR": str(tmp_path), "PYTHONPATH": str(LIBRARY)}
    for number, warned in (("1", 1), ("", 0)):
        shared = {"THIN_ICE_GPUS": number, "CUDA_VISIBLE_DEVICES": "GPU-7f3a"}
        log = tmp_path / f"{number}.log"
        subprocess.run([*words, "--log", log], env=os.environ | own | shared, check=True)
        said = "WARNING GPU GPU-7f3a was claimed and torch sees none: on the CPU\n"
        assert log.read_text().count(said) == warned


@pytest.mark.parametrize("number", ["0", "-1", "two", "1.5"])
def test_a_bad_number_is_one_sentence(number):
    words = [sys.executable, "-m", "thin_ice", "rivals", "--job", "{}"]
    own = {"PYTHONPATH": str(LIBRARY), "THIN_ICE_GPUS": number}
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ | own, check=False)
    assert done.returncode == 1
    assert done.stderr == f"THIN_ICE_GPUS: {number!r}; allowed: 1 or more, or unset\n"

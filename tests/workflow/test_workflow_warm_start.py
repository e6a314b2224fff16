"""Jobs that begin as forks of a process which has imported torch do what they would have done."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from miniature import REPOSITORY
from rerun_bench import clean_environment
from tiny_study import TINY, arguments_of, tiny_study

from thin_ice.commands.warm_start import ADDRESS, KILLED, THREADS
from thin_ice.study.jobs import planned_jobs
from thin_ice.study.load import study_from

LIBRARY = str(REPOSITORY / "workflow")
LONG = TINY | {"training": {"dense": {"epochs": 2000}, "prune": {"epochs": 1}, "finetune": {}}}

MAKER = """
import os, sys
from thin_ice.commands.warm_start import ADDRESS, Hearth
hearth = Hearth(1)
print(os.environ[ADDRESS], hearth._process.pid, flush=True)
sys.stdin.read()
hearth.release()
"""


@contextmanager
def made_hearth():
    """The process that began a hearth, the hearth's address and its process."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    maker = subprocess.Popen([sys.executable, "-c", MAKER], env=environment(), **pipes)
    address, process = maker.stdout.readline().split()
    yield maker, address, int(process)
    maker.communicate()
    assert not alive(process)


@pytest.fixture(scope="module")
def hearth():
    """Its environment variables for commands, and its process."""
    with made_hearth() as (_, address, process):
        yield environment(address), process


def environment(address=""):
    here = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    own = dict.fromkeys(THREADS, "1") | {"PYTHONPATH": LIBRARY}
    return here | own | ({ADDRESS: address} if address else {})


def alive(process):
    """Whether it is there and not only its exit status."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def forks_of(process):
    return [int(n) for n in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def start(arguments, variables, **options):
    words = [sys.executable, "-m", "thin_ice", *arguments]
    return subprocess.Popen(words, env=variables, stderr=subprocess.PIPE, text=True, **options)


def run(arguments, variables, **options):
    """Exit status, what it said, and the seconds of a processor that its own process used."""
    process = start(arguments, variables, **options)
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, said, used.ru_utime


def until(condition):
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert condition()


def jobs_of(*stages, study=None):
    return [job for job in planned_jobs(study or tiny_study()) if job.stage in stages]


def recorded(folder):
    """Of each record the digests of what was made, and the command."""
    found = {}
    for path in sorted(folder.rglob("provenance.json")):
        statement = json.loads(path.read_text())
        command = statement["predicate"]["buildDefinition"]["internalParameters"]
        found[path.relative_to(folder)] = (statement["subject"], command)
    return found


THREE = [jobs_of(stage)[0] for stage in ("dataset", "dense", "evaluate")]


@pytest.fixture(scope="module")
def cold(tmp_path_factory):
    """Results of commands without a hearth, and the seconds that each used."""
    root = tmp_path_factory.mktemp("cold")
    return root, [done(job, root, environment()) for job in THREE]


def done(job, root, variables):
    status, said, seconds = run(arguments_of(job, Path()), variables, cwd=root)
    assert status == (0 if job.stage != "evaluate" else 1), said
    return said, seconds


def test_a_fork_does_what_the_command_would_have_done(hearth, cold, tmp_path):
    """Also where a stage fails: `evaluate` misses its inputs here."""
    for job, (said, seconds) in zip(THREE, cold[1], strict=True):
        warm_said, warm_seconds = done(job, tmp_path, hearth[0])
        assert warm_said.split()[-2:] == said.split()[-2:]  # after the seconds that it took
        assert warm_seconds < seconds / 3
    assert recorded(tmp_path) == recorded(cold[0])


@pytest.mark.parametrize(
    "changed",
    [{"OMP_NUM_THREADS": "2"}, {"SOMETHING": "else"}, {ADDRESS: "thin-ice-gone"}],
    ids=["more threads", "another variable", "no hearth there"],
)
def test_where_anything_is_otherwise_the_command_does_it_itself(hearth, cold, tmp_path, changed):
    (job,) = jobs_of("dataset")
    seconds = done(job, tmp_path, hearth[0] | changed)[1]
    assert seconds > cold[1][0][1] / 3
    assert (tmp_path / job.record).is_file()


def test_a_fork_has_the_temporary_folder_of_its_command(hearth, cold, tmp_path):
    own = hearth[0] | {"TMPDIR": str(tmp_path / "own")}
    shutil.copytree(cold[0] / "data", tmp_path / "data")
    words = [*arguments_of(THREE[1], Path()), "--scratch", "$TMPDIR"]
    status, said, seconds = run(words, own, cwd=tmp_path)
    assert status == 0, said
    assert seconds < cold[1][1][1] / 3
    assert [path.suffix for path in (tmp_path / "own").rglob("*.*")] == [".safetensors"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")
def test_another_user_gets_no_fork(hearth, tmp_path):
    tmp_path.chmod(0o777)
    ask = (
        "import os, socket; os.setuid(65534); s = socket.socket(socket.AF_UNIX);"
        "s.connect(chr(0) + os.environ['THIN_ICE_HEARTH']); s.settimeout(30);"
        "socket.send_fds(s, [b'x'], [0, 1, 2]); print(s.recv(10))"
    )
    told = subprocess.run(
        [sys.executable, "-c", ask], env=hearth[0], capture_output=True, text=True
    )
    closed = ("BrokenPipeError", "ConnectionResetError")
    assert told.stdout == "b''\n" or any(name in told.stderr for name in closed)
    assert forks_of(hearth[1]) == []


@pytest.fixture
def training(hearth, cold, tmp_path):
    """A long training: its command, and the fork that trains."""
    (dense,) = jobs_of("dense", study=study_from(LONG))
    shutil.copytree(cold[0] / "data", tmp_path / "data")
    process = start(arguments_of(dense, Path()), hearth[0], cwd=tmp_path)
    until(lambda: (tmp_path / dense.record).with_name(".checkpoint.safetensors").exists())
    (fork,) = forks_of(hearth[1])
    yield process, fork
    process.kill()
    process.wait()
    until(lambda: not alive(fork))


def test_a_fork_dies_with_its_command(training):
    process, fork = training
    assert alive(fork)
    process.kill()
    until(lambda: not alive(fork))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_fork_gets_the_signals_of_its_command(training, number):
    process, fork = training
    process.send_signal(number)
    said = process.communicate()[1]
    assert process.returncode == 128 + number
    assert "goes on from what it saved" in said
    until(lambda: not alive(fork))


def test_a_fork_that_is_killed_is_a_command_that_was(training):
    process, fork = training
    os.kill(fork, signal.SIGKILL)
    process.communicate()
    assert process.returncode == KILLED


def test_a_hearth_ends_with_the_process_that_began_it():
    with made_hearth() as (maker, _, process):
        assert alive(process)
        maker.kill()
        until(lambda: not alive(process))


@contextmanager
def run_in_training(tmp_path, **changes):
    """Snakemake on a study of two networks, one core, while it trains the first; what it prints."""
    study = LONG | {"seeds": [0, 1]} | changes
    goals = jobs_of("dense", study=study_from(study))
    folder = study_from(study).folder
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    line = [Path(sys.executable).parent / "snakemake", "-s", REPOSITORY / "Snakefile"]
    line += ["--verbose", "--configfile", "study.yaml", "--cores", "1"]
    line += [f"{folder}/{job.record}" for job in goals]
    states = [
        (tmp_path / folder / job.record).with_name(".checkpoint.safetensors") for job in goals
    ]
    with (tmp_path / "printed.txt").open("w") as printed:
        options = {"stdout": printed, "stderr": printed, "start_new_session": True}
        process = subprocess.Popen(line, env=clean_environment(), cwd=tmp_path, **options)
    try:
        until(lambda: any(state.exists() for state in states) or process.poll() is not None)
        yield process.pid, tmp_path / "printed.txt"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize("warm", [True, False])
def test_a_run_keeps_a_hearth_if_the_study_says_so(tmp_path, warm):
    """With as many threads a job as Snakemake says: else every job would import torch itself."""
    resources = {"warm_start": warm, "threads": 2}
    with run_in_training(tmp_path, resources=resources) as (process, _):
        hearths = [one for one in forks_of(process) if "warm_start" in command_of(one)]
        assert [len(forks_of(one)) for one in hearths] == ([1] if warm else [])


def test_a_run_looks_for_jobs_when_one_has_ended_and_at_no_other_time(tmp_path):
    with run_in_training(tmp_path) as (_, printed):
        before = printed.read_text().count("Resources before job selection")
        time.sleep(3)  # in which Snakemake would look every second
        assert printed.read_text().count("Resources before job selection") == before >= 1


def command_of(process):
    return Path(f"/proc/{process}/cmdline").read_text()

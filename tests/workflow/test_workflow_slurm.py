"""`snakemake --profile slurm` against a real Slurm, with jobs that are preempted, warned and killed
on the way: the study ends, and with what a local run of it ends with.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
import slurm_cluster
import yaml
from miniature import MINIATURE, REPOSITORY

from thin_ice.files import sha256

LONG = {"epochs": 400}  # seconds, so that a job is met while it trains
STUDY = MINIATURE | {
    "name": "cluster",
    "seeds": [0],
    "methods": {"lwm": {}},
    "training": {"dense": LONG | {"lr": 0.05}, "finetune": LONG},
    "autoattack": MINIATURE["autoattack"] | {"shard_size": 60},
    "breaking": {"rounds": 0},
    "resources": {"mem_mb": 2000},
}
RUN = "digits-digits_cnn-pgd_at/seed0"
# A test cannot wait 40 s for the first look at a job; there is no accounting to ask. The warning
# of fine-tuning is a signal that says nothing (WINCH), so that it does run into its limit.
SITE = {
    "slurm-status-command": "squeue",
    "slurm-init-seconds-before-status-checks": 5,
    "set-resources": {"finetune": {"slurm_extra": "--signal=28@1"}},
}
COPIED = ("Snakefile", "slurm", "workflow", "envs", "pyproject.toml")
ON_GPU = {
    *("dense", "prune", "finetune", "autoattack", "evaluate", "distances", "indicators"),
    *("rivals", "sensitivity", "twins", "compact", "certify"),
}
ELSEWHERE = {"analyse", "report"}  # submitted as well, without a GPU
PATIENCE = 300.0

if reason := slurm_cluster.why_not():
    print(f"\nNO SLURM HERE, SO NOTHING OF IT IS TESTED: {reason}", file=sys.__stderr__)
    pytest.skip(f"no Slurm can be started: {reason}", allow_module_level=True)


def checkout(folder, study):
    """A copy of the workflow whose default study is this one."""
    folder.mkdir()
    for name in COPIED:
        source = REPOSITORY / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, folder / name)
    (folder / "config.yaml").write_text(yaml.safe_dump(study))
    return folder


def snakemake(folder, *arguments):
    """Start Snakemake there, as a person would; its output goes to a file."""
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "SLURM_CONF")}
    with (folder / "said.txt").open("a") as said:
        return subprocess.Popen(
            [Path(sys.executable).parent / "snakemake", *arguments],
            cwd=folder,
            stdout=said,
            stderr=subprocess.STDOUT,
            env=clean,
        )


class Run:
    """A run on the cluster, and what is done to its jobs meanwhile."""

    def __init__(self, cluster, folder):
        self.cluster, self.folder = cluster, folder
        self.results = folder / "results" / STUDY["name"]
        (folder / "profiles" / "default").mkdir(parents=True)
        (folder / "profiles" / "default" / "config.yaml").write_text(yaml.safe_dump(SITE))
        self.process = snakemake(folder, "--profile", "slurm")

    def said(self):
        return (self.folder / "said.txt").read_text()

    def wait(self, what, name):
        """Until ``what()`` gives something true, which is returned."""
        deadline = time.monotonic() + PATIENCE
        while not (found := what()):
            assert time.monotonic() < deadline, f"waited in vain for {name}: {self.said()}"
            assert self.process.poll() is None, f"ended before {name}: {self.said()}"
            time.sleep(0.05)
        return found

    def caught(self, *variants):
        """The job of each of these networks' trainings, stopped as soon as it has saved a state."""
        found = {}
        while len(found) < len(variants):
            missing = [variant for variant in variants if variant not in found]
            variant = self.wait(partial(self._saved, missing), f"{missing} to be trained")
            self.signal(variant, signal.SIGSTOP)
            found[variant] = self.wait(partial(self._trainer, variant), f"the job of {variant}")
        return found

    def _saved(self, variants):
        states = {v: self.results / RUN / v / ".checkpoint.safetensors" for v in variants}
        return next((variant for variant in variants if states[variant].exists()), None)

    def _trainer(self, variant):
        for job in self.cluster.jobs():
            if job["Comment"] == _training(variant) and job["JobState"] == "RUNNING":
                return job["JobId"]
        return None

    def signal(self, variant, number):
        """Send a signal to the process that trains a network."""
        for process in _processes_that_train(self.results, variant):
            os.kill(process, number)

    def preempt(self, number, variant):
        """As a scheduler does that needs the node: the job is killed and waits for its turn."""
        self.signal(variant, signal.SIGCONT)
        self.cluster.call("scontrol", "requeue", number)
        self.wait(partial(self._waits, number), f"job {number} to wait again")
        # Slurm lets two minutes pass before a preempted job may start again.
        self.cluster.call("scontrol", "update", f"JobId={number}", "StartTime=now")

    def _waits(self, number):
        return self.cluster.job(number)["JobState"] == "PENDING"

    def hold(self, variant):
        """Keep a network's training where it is: Slurm wakes who is stopped before its limit."""

        def stop():
            while processes := list(_processes_that_train(self.results, variant)):
                with suppress(ProcessLookupError):
                    for process in processes:
                        os.kill(process, signal.SIGSTOP)
                time.sleep(0.1)

        threading.Thread(target=stop, daemon=True).start()

    def run_into_its_limit(self, number):
        """Have little time left."""
        self.cluster.call("scontrol", "update", f"JobId={number}", "TimeLimit=1")


def _training(variant):
    """How a network's training is called in Slurm's records: its rule and wildcards."""
    seed = RUN.replace("/seed", "_")
    named = f"rule_dense_wildcards_{seed}", f"rule_finetune_wildcards_{seed}_{variant}"
    return named[variant != "dense"]


def _rule(job):
    return job["Comment"].removeprefix("rule_").partition("_wildcards")[0]


def _processes_that_train(results, variant):
    record = f"{RUN}/{variant}/provenance.json"
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_text().split("\0")
            cwd = (folder / "cwd").readlink()
        except OSError:
            continue
        ours = cwd == results.parents[1]  # what a killed run has left trains networks as well
        if ours and "thin_ice" in words and any(word.endswith(record) for word in words):
            yield int(folder.name)


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """The results of a plain run."""
    folder = checkout(tmp_path_factory.mktemp("local") / "checkout", STUDY)
    assert snakemake(folder, "--cores", "2").wait() == 0, (folder / "said.txt").read_text()
    return folder / "results" / STUDY["name"]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A run that has ended, with what Slurm says of its jobs; and the numbers of three of them,
    which were preempted, warned, and killed by their time limit.
    """
    folder = tmp_path_factory.mktemp("slurm")
    with slurm_cluster.Cluster(folder / "slurm") as cluster:
        run = Run(cluster, checkout(folder / "checkout", STUDY))
        try:
            numbers = run.caught("dense")
            run.run_into_its_limit(numbers["dense"])
            numbers |= run.caught("dense_again", "lwm-0.9")
            run.hold("dense_again")
            run.run_into_its_limit(numbers["dense_again"])
            run.preempt(numbers["lwm-0.9"], "lwm-0.9")
            run.status = run.process.wait(2 * PATIENCE)
        finally:
            run.process.kill()
        yield run, {job["JobId"]: job for job in cluster.jobs()}, numbers


def test_the_study_ends(ran):
    run, _, _ = ran
    assert run.status == 0, run.said()
    assert "(100%) done" in run.said()
    assert (run.results / "report" / "report.html").is_file()


def test_rules_that_compute_on_networks_got_a_gpu_and_no_others_did(ran):
    _, jobs, _ = ran
    got = {}
    for job in jobs.values():
        got.setdefault(_rule(job), set()).add(job.get("TresPerJob"))
    asked = {rule: {"gres:gpu:1"} for rule in ON_GPU} | {rule: {None} for rule in ELSEWHERE}
    assert got == asked


def attempts(jobs, variant):
    """The jobs that trained a network, in the order of their numbers."""
    own = [job for job in jobs.values() if job["Comment"] == _training(variant)]
    return sorted(own, key=lambda job: int(job["JobId"]))


def went_on(run, variant):
    """Whether the last attempt began within the training: Snakemake empties the log before each."""
    stage = "" if variant == "dense" else "-finetune"
    log = run.results / "logs" / RUN / f"{variant}{stage}.log"
    return "going on after epoch" in log.read_text()


def test_a_preempted_job_starts_again_under_its_number_and_goes_on(ran):
    run, jobs, numbers = ran
    (job,) = attempts(jobs, "lwm-0.9")
    assert job["JobId"] == numbers["lwm-0.9"]
    assert (job["JobState"], job["Restarts"]) == ("COMPLETED", "1")
    assert went_on(run, "lwm-0.9")


def test_a_job_that_slurm_warns_of_its_limit_saves_itself_and_is_submitted_again(ran):
    run, jobs, numbers = ran
    first, second = attempts(jobs, "dense")
    assert first["JobId"] == numbers["dense"]
    assert [first["JobState"], second["JobState"]] == ["FAILED", "COMPLETED"]
    assert "asked to end by SIGUSR1" in slurm_log(run, first)
    assert went_on(run, "dense")


def test_the_next_attempt_is_asked_more_for(ran):
    _, jobs, _ = ran
    for variant in ("dense", "dense_again"):
        first, second = attempts(jobs, variant)
        assert [first["MinMemoryNode"], second["MinMemoryNode"]] == ["2000M", "4000M"]
        (untouched,) = attempts(jobs, "lwm-0.9")
        assert minutes(second) == 2 * minutes(untouched)


def test_a_job_killed_by_its_time_limit_is_submitted_again_and_goes_on(ran):
    run, jobs, _ = ran
    first, second = attempts(jobs, "dense_again")
    assert [first["JobState"], second["JobState"]] == ["TIMEOUT", "COMPLETED"]
    assert went_on(run, "dense_again")


def slurm_log(run, job):
    """What Slurm kept of a job's output; its own log Snakemake empties before each attempt."""
    (path,) = (run.folder / "results" / "slurm_logs").rglob(f"{job['JobId']}.log")
    return path.read_text()


def minutes(job):
    hours, minutes, _ = map(int, job["TimeLimit"].split(":"))
    return 60 * hours + minutes


def test_the_results_are_a_local_run_s(ran, local):
    run, _, _ = ran
    expected, found = artifacts(local), artifacts(run.results)
    assert len(expected) > 40
    assert found == expected


def artifacts(results):
    """The digest of every artifact, by its path; the report names its records."""
    found = {}
    for record in results.rglob("provenance.json"):
        for subject in json.loads(record.read_text())["subject"]:
            path = record.with_name(subject["name"])
            found[str(path.relative_to(results))] = sha256(path)
    return found

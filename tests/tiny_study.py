"""A finished study for tests: every job of the smallest one, run in this process."""

import contextlib
import logging
import sys
from pathlib import Path

from thin_ice.commands.cli import main
from thin_ice.provenance.planned import PlannedJob
from thin_ice.study.jobs import planned_jobs
from thin_ice.study.load import study_from
from thin_ice.study.plan import Study

TINY = {
    "name": "tiny",
    "seeds": [0],
    "threat": {"norm": "Linf", "eps": 0.1},
    "datasets": {"digits": {"validation": 0.2, "limit_train": 100, "limit_test": 30}},
    "models": {"digits_cnn": {"width": 4}},
    "objectives": {"pgd_at": {"steps": 1}},
    "training": {"dense": {"epochs": 1}, "prune": {"epochs": 1}, "finetune": {"epochs": 1}},
    "methods": {"lwm": {}},
    "sparsities": [0.5],
    "autoattack": {
        "version": "custom",
        "attacks": ["apgd-ce", "square"],
        "square_queries": 10,
        "batch_size": 20,
        "shard_size": 20,
    },
    "distances": {"attacks": [{"kind": "fmn", "norm": "Linf", "steps": 3, "max_stepsize": 1}]},
    "breaking": {"rounds": 1},
    "twins": 2,
    "indicators": {"samples": 10, "points": 2},
    "analysis": {"bootstrap": 10},
}


def tiny_study() -> Study:
    """A dense network, one pruned from it, one fine-tuned again; two AutoAttack shards each."""
    return study_from(TINY)


def run_study(study: Study, root: Path) -> Path:
    """Run every job of a study with its results in ``root``, as Snakemake would; gives ``root``.

    The records are as those of real jobs, their command lines included.
    """
    for job in planned_jobs(study):
        run_job(job, root)
    return root


def run_job(job: PlannedJob, root: Path) -> None:
    assert call(arguments_of(job, root)) == 0, f"the job {job.folder} failed"


def call(arguments: list[str]) -> int:
    """The exit status of ``python -m thin_ice ARGUMENTS``, run in this process."""
    with _as_command(arguments):
        return main(arguments)


def arguments_of(job: PlannedJob, root: Path) -> list[str]:
    """The words of a job's command line after ``python -m thin_ice``."""
    words = [job.stage, "--job", job.text]
    for name, files in job.inputs.items():
        words += [f"--{name}", *(str(root / file) for file in files)]
    record, code = str(root / job.record), str(root / "code")
    return [*words, "--record", record, "--code", code, "--device", "cpu"]


@contextlib.contextmanager
def _as_command(arguments: list[str]):
    """Jobs write their command line into the record and set up the log of their process."""
    before, log = sys.argv, logging.getLogger("thin_ice")
    sys.argv = ["thin_ice", *arguments]
    try:
        yield
    finally:
        sys.argv = before
        log.handlers.clear()
        log.propagate = True
        log.setLevel(logging.NOTSET)

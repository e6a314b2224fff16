"""How the jobs of a study stand, from the study's plan, the records of its jobs and their logs.

Nothing is asked of Snakemake or Slurm, so it works from every machine that sees the folder.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from thin_ice.joblog import ENDED, FAILED, RUNNING, STOPPED, Attempt, last_attempt
from thin_ice.provenance.planned import PlannedJob

FINISHED, WAITING = "finished", "waiting"
STATES = (FINISHED, RUNNING, FAILED, STOPPED, WAITING)
LOGS = "logs"  # below the study's folder


@dataclass(frozen=True)
class Standing:
    """One job, its state (of `STATES`), its log, and of an unfinished one the last attempt."""

    job: PlannedJob
    state: str
    log: Path
    attempt: Attempt | None = None


def standings(root: Path, jobs: Iterable[PlannedJob]) -> list[Standing]:
    """How every job of a study stands whose results are in ``root``, in the order of the jobs.

    A job is finished when it has a record, which is written last (whether that is of the present
    study is another question, which ``explain`` answers). Else its log decides: the last attempt
    failed, was stopped by a signal, or runs. Without an attempt, or with one that ended and whose
    record is gone since, the job waits.
    """
    return [_standing(root, job) for job in jobs]


def _standing(root: Path, job: PlannedJob) -> Standing:
    log = root / log_of(job)
    if (root / job.record).is_file():
        return Standing(job, FINISHED, log)
    attempt = last_attempt(log)
    if (root / job.record).is_file():  # it has ended meanwhile
        return Standing(job, FINISHED, log)
    state = attempt.state if attempt and attempt.state != ENDED else WAITING
    return Standing(job, state, log, attempt)


def log_of(job: PlannedJob) -> str:
    """Where the rules have a job write its log, below the study's folder."""
    return f"{LOGS}/{_log_of(job)}.log"


def _log_of(job: PlannedJob) -> str:
    first, *others = job.folder.split("/")
    if job.stage in ("study", "report"):
        return job.stage
    if job.stage == "dataset":
        return f"dataset-{others[0]}"
    if job.stage == "analyse":
        return f"{first}/analyse"
    seed, variant, *_ = others
    if job.stage in ("dense", "external"):
        return f"{first}/{seed}/{variant}"
    shard = others[-1].removeprefix("shard") if job.stage == "autoattack" else ""
    return f"{first}/{seed}/{variant}-{job.stage}{shard}"

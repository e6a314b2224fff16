"""Say how a study's jobs stand: how many are finished, how far each running one is and how long it
will take, and what the log of each failed one says. From any machine that sees the folder.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from thin_ice.commands import present
from thin_ice.errors import ThinIceError
from thin_ice.joblog import FAILED, RUNNING, STOPPED
from thin_ice.progress import clock
from thin_ice.study.jobs import planned_jobs
from thin_ice.study.load import study_from_file
from thin_ice.study.plan import Study
from thin_ice.study.schema import BadStudy
from thin_ice.study.watching import FINISHED, STATES, Standing, standings

SILENT_S = 600  # after which a job's silence is worth a word
DAY_S = 86400
LINES = 8  # of the log of a failed job
CLEAR = "\x1b[H\x1b[2J"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    present.add_arguments(parser)
    parser.add_argument("--follow", action="store_true", help="again and again, until all is done")
    parser.add_argument("--every", type=_pause, default=10, help="seconds between two looks")


def run(options: argparse.Namespace) -> int:
    """0, or 1 where a job failed."""
    root, jobs = _planned(options)
    try:
        while True:
            found = standings(root, jobs)
            print(CLEAR if options.follow and sys.stdout.isatty() else "", end="")
            print("\n".join(lines(root, found)), flush=True)
            if not options.follow or all(one.state == FINISHED for one in found):
                return int(any(one.state == FAILED for one in found))
            time.sleep(options.every)
    except KeyboardInterrupt:  # how one ends to follow
        return 0


def _pause(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= DAY_S:
        raise argparse.ArgumentTypeError(f"{text}; allowed: more than 0, at most {DAY_S}")
    return seconds


def _planned(options: argparse.Namespace) -> tuple[Path, list]:
    """The folder and the jobs of the study saved in it; of the present one if none is saved yet."""
    if options.study is None and options.results:
        saved = options.results / present.SAVED
        if saved.is_file():
            return options.results, planned_jobs(_saved_study(saved))
    root, study, _ = present.results_and_study(options)
    return root, planned_jobs(study)


def _saved_study(saved: Path) -> Study:
    """The study of the run; one that was saved by a version with other keys cannot be read."""
    try:
        return study_from_file(saved, with_data=False)
    except BadStudy as error:
        raise ThinIceError(f"{error}; or name a study that can be read with --study") from None


def lines(root: Path, found: list[Standing]) -> Iterator[str]:
    """What is printed: the counts, then a line a running or stopped job, then those that failed."""
    counts = Counter(one.state for one in found)
    said = ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
    yield f"{root}: {len(found)} jobs, {said}"
    yield from _table(found)
    for state in (RUNNING, STOPPED):
        if members := [one for one in found if one.state == state]:
            yield ""
            yield from map(_line, members)
    yield from failures(found)


def failures(found: list[Standing], ended: bool = False) -> Iterator[str]:
    """Of each failed job, after an empty line, the path and the end of its log.

    ``ended``: no job runs any more, so one whose log says that it does was killed, wherever it ran.
    """
    for one in found:
        if one.state == FAILED or (ended and one.state == RUNNING):
            yield ""
            yield from _failure(one)


def _table(found: list[Standing]) -> Iterator[str]:
    """A line a stage, in the order of the jobs."""
    counts = Counter((one.job.stage, one.state) for one in found)
    yield " ".join(["", f"{'':12}", *(f"{state:>8}" for state in STATES)])
    for stage in dict.fromkeys(one.job.stage for one in found):
        cells = (f"{counts[stage, state] or '.':>8}" for state in STATES)
        yield " ".join(["", f"{stage:12}", *cells])


def _line(one: Standing) -> str:
    """``dense  digits-.../seed0/dense  epoch 12/30  loss 0.4  left 2:13  node7, Slurm job 8``."""
    attempt = one.attempt
    parts = [one.job.stage, one.job.folder]
    if attempt.unit:
        parts += [f"{attempt.unit} {attempt.done}/{attempt.total}", attempt.facts]
    if one.state == STOPPED:
        parts.append("stopped by a signal, goes on when it is run again")
    else:
        left_s = attempt.left_s if attempt.left_s is None else attempt.left_s - attempt.age_s
        parts += [] if left_s is None else [f"left {clock(max(0, left_s))}"]
        parts += [_where(one), _age(attempt.age_s)]
    return "  ".join(part for part in parts if part)


def _where(one: Standing) -> str:
    attempt = one.attempt
    if attempt.host is None:
        return ""
    return attempt.host + (f", Slurm job {attempt.slurm}" if attempt.slurm else "")


def _age(seconds: float) -> str:
    if seconds < SILENT_S:
        return f"last line {clock(seconds)} ago"
    return f"SILENT for {round(seconds / 60)} min"


def _failure(one: Standing) -> Iterator[str]:
    """The log's path and its last lines; a job that ended without a word is said to have."""
    yield f"failed: {one.job.stage}  {one.job.folder}  {one.log}"
    yield from (f"    {line}" for line in one.attempt.lines[-LINES:])
    if one.attempt.killed or one.state == RUNNING:
        where = f" on {one.attempt.host}" if one.attempt.host else ""
        yield f"    (its process{where} is gone: killed, or out of memory)"

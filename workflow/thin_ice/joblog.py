"""The log of a job: the lines that tell how it stands, and how to read them back.

A log is appended to, by each attempt at the job, and may be read at any moment: its last line can
be half written. Of a long one only the end is kept, and where its last attempt began. Knows no
torch.
"""

import logging
import os
import platform
import re
import time
from dataclasses import dataclass
from pathlib import Path

FORMAT = "%(asctime)s %(levelname)s %(message)s"
STARTED, DONE, TAKEN, ASKED = "started on", "done in", "taken from", "asked to end by"
TAIL = 1 << 18  # bytes: an attempt of some thousand epochs

RUNNING, STOPPED, FAILED, ENDED = "running", "stopped", "failed", "ended"

_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ([A-Z]+) (.*)")
_BEGUN = re.compile(rf"{STARTED} (\S+), pid (\d+)(?:, Slurm job (\S+))?")
_PROGRESS = re.compile(r"(\w+) (\d+)/(\d+)  (.*?)  left ((?:\d+:)?\d+:\d\d)")
_CRASH = "Fatal Python error"  # what faulthandler writes

log = logging.getLogger("thin_ice")


@dataclass(frozen=True)
class Attempt:
    """The last attempt at a job, as its log tells it.

    Attributes:
        state: running, stopped (by a signal, to go on later), failed or ended.
        host, pid, slurm: where it runs, as far as its log says.
        unit, done, total, facts: of its last line of progress, if there is one.
        left_s: seconds that were left at that line.
        age_s: seconds since anything was written.
        lines: all lines of the attempt that were read.
        killed: its process is gone, without a word.
    """

    state: str
    host: str | None
    pid: int | None
    slurm: str | None
    unit: str | None
    done: int
    total: int
    facts: str
    left_s: int | None
    age_s: float
    lines: tuple[str, ...]
    killed: bool


def say_started() -> None:
    """The first line of an attempt: which process it is, and Slurm's number of it if it has one."""
    slurm = os.environ.get("SLURM_JOB_ID")
    where = f"{platform.node()}, pid {os.getpid()}"
    log.info("%s %s", STARTED, f"{where}, Slurm job {slurm}" if slurm else where)


def last_attempt(path: Path) -> Attempt | None:
    """What a log says of the last attempt at its job; None where there is no log.

    A process that is gone from this machine without a word has failed; of one on another machine
    only the age of its last line is known.
    """
    try:
        age_s = max(0.0, time.time() - path.stat().st_mtime)
        lines = _tail(path).splitlines()
        messages = [_message(line) for line in lines]
        begins = [n for n, (_, message) in enumerate(messages) if _BEGUN.fullmatch(message)]
        first = begins[-1] if begins else 0
        begun = _BEGUN.fullmatch(messages[first][1]) if begins else _last_begun(path)
    except OSError:
        return None
    host, pid, slurm = begun.groups() if begun else (None, None, None)
    state = _state(messages[first:])
    killed = state == RUNNING and begun is not None and _is_gone(host, int(pid))
    state = FAILED if killed else state
    unit, done, total, facts, left_s = _progress(messages[first:])
    number = int(pid) if pid else None
    where = (host, number, slurm)
    last = (age_s, tuple(lines[first:]), killed)
    return Attempt(state, *where, unit, done, total, facts, left_s, *last)


def _tail(path: Path) -> str:
    """The end of a file; of a long one from the first whole line on."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL))
        data = file.read(TAIL)
    if size > TAIL:
        data = data.partition(b"\n")[2]
    return data.decode("utf-8", errors="replace")


def _message(line: str) -> tuple[str, str]:
    """Level and message of a line; one that is not the logger's has no level."""
    found = _LINE.fullmatch(line)
    return (found[1], found[2]) if found else ("", line)


def _last_begun(path: Path) -> re.Match | None:
    """The beginning of an attempt so long that the end of its log does not have it."""
    begun = None
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            begun = _BEGUN.fullmatch(_message(line.rstrip("\n"))[1]) or begun
    return begun


def _state(messages: list[tuple[str, str]]) -> str:
    """By the last line that says how it ended; warnings and what follows an error say nothing."""
    for level, message in reversed(messages):
        if level == "ERROR":
            return STOPPED if message.startswith(ASKED) else FAILED
        if level == "INFO" and message.startswith((DONE, TAKEN)):
            return ENDED
        if not level and message.startswith(_CRASH):
            return FAILED
    return RUNNING


def _is_gone(host: str, pid: int) -> bool:
    if host != platform.node():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:  # another user's
        return False
    return False


def _progress(messages: list[tuple[str, str]]) -> tuple[str | None, int, int, str, int | None]:
    for _, message in reversed(messages):
        if found := _PROGRESS.fullmatch(message):
            unit, done, total, facts, left = found.groups()
            return unit, int(done), int(total), facts.strip(), _seconds(left)
    return None, 0, 0, "", None


def _seconds(text: str) -> int:
    """What `thin_ice.progress.clock` wrote."""
    seconds = 0
    for part in text.split(":"):
        seconds = 60 * seconds + int(part)
    return seconds

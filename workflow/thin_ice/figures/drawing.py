"""The figures of a report, drawn by several processes side by side: drawing is nearly all of a
report's time, and no figure needs another.
"""

import ctypes
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from thin_ice.figures.finished import Finished
from thin_ice.figures.gallery import Shown, show
from thin_ice.interruption import SIGNALS

PR_SET_PDEATHSIG = 1  # of prctl(2)

_GIVEN: dict[str, Finished] = {}  # to a worker, when it is forked


def show_all(
    names: Sequence[str], finished: Finished, folder: Path, processes: int = 1
) -> list[Shown]:
    """Write the figures of these names into ``folder``, by so many processes where this system can
    fork; the files do not depend on how many there are.
    """
    if processes == 1 or sys.platform != "linux":
        return [show(name, finished, folder) for name in names]
    # A fork has the tables and matplotlib as they lie in memory; nothing is imported or sent.
    forks = get_context("fork")
    with ProcessPoolExecutor(processes, forks, _begin, (finished,)) as pool:
        return list(pool.map(partial(_show, folder), names))


def _begin(finished: Finished) -> None:
    """End with the job's own process, even where that is killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    for number in SIGNALS:  # the job decides what becomes of a signal that is sent to both
        signal.signal(number, signal.SIG_IGN)
    _GIVEN["finished"] = finished


def _show(folder: Path, name: str) -> Shown:
    return show(name, _GIVEN["finished"], folder)

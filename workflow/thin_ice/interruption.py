"""What becomes of a job that is asked to end: by Slurm before its time limit or to make room for
another, by Snakemake, or by Ctrl-C.

It ends at once, in order: temporary files go, and what its checkpoint holds is kept. Work that can
be saved between any two steps is done in `deferred`, where a signal is only noted; the work then
saves itself when `asked` says so, and ends.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class Interrupted(BaseException):
    """The job was asked to end. No `Exception`, so that no stage takes it for a failure of its own.

    ``status``: that of a process which this signal ended, as shells give it.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"asked to end by {signal.Signals(number).name}")
        self.status = 128 + number


class _Noted:
    """The signal that has come, and whether it may end the job at once."""

    number: int | None = None
    deferred = False


def listen() -> None:
    """Have the signals of `SIGNALS` end the job in order. For the main thread."""
    _Noted.number, _Noted.deferred = None, False
    for number in SIGNALS:
        signal.signal(number, _note)


def asked() -> Interrupted | None:
    """What to raise, once the work is saved, if the job was asked to end."""
    return None if _Noted.number is None else Interrupted(_Noted.number)


@contextmanager
def deferred() -> Iterator[None]:
    """Signals that come meanwhile only make `asked` say so; they end the job afterwards."""
    _Noted.deferred = True
    try:
        yield
    finally:
        _Noted.deferred = False
    if error := asked():
        raise error


def _note(number: int, _frame: FrameType | None) -> None:
    """Another signal finds the job on its way out already."""
    if _Noted.number is None:
        _Noted.number = number
        if not _Noted.deferred:
            raise Interrupted(number)

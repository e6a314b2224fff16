"""One run of Snakemake at a time on the results of a study.

Snakemake locks the folder that it is started in. Two checkouts whose results are one shared folder
have a lock each, so the results have one of their own, held by the process that runs Snakemake.
The kernel lets go of it when that process ends, however it does: what is left of a killed run is a
file that locks nothing.
"""

import fcntl
import json
import logging
import os
import platform
from pathlib import Path

from thin_ice.errors import ThinIceError

FILE = ".run.lock"

log = logging.getLogger("thin_ice")


class AlreadyRunning(ThinIceError):
    """Another process makes the same results."""


class NotWritable(ThinIceError):
    """The results cannot be written by this user, or not at all."""


class RunLock:
    """The lock of a study's results, held until `release` or the end of the process."""

    def __init__(self, folder: str | Path, since: str) -> None:
        """Take it. ``since``: when the run began, for whoever is refused.

        Raises:
            AlreadyRunning: another run holds it, on whatever machine that shares the folder.
            NotWritable: the folder or the lock's file is another user's, or the disk is full.
        """
        self.path, self.owner = Path(folder) / FILE, os.getpid()
        own = {"host": platform.node(), "pid": self.owner, "since": since}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.descriptor = self._taken()
            os.ftruncate(self.descriptor, 0)
            os.pwrite(self.descriptor, json.dumps(own).encode(), 0)
        except OSError as error:
            raise NotWritable(
                f"cannot lock {folder} for this run: {error}; it must be a folder that you can "
                f"write to, without another user's {FILE}"
            ) from None

    def release(self) -> None:
        """Let go, and leave no file behind. For the process that took it, not for its forks."""
        if self.owner == os.getpid() and self.descriptor is not None:
            if self._lies_there(self.descriptor):  # else it is the next run's
                self.path.unlink(missing_ok=True)
            os.close(self.descriptor)
            self.descriptor = None

    def _taken(self) -> int:
        """A descriptor of the file that lies there, locked: one that its holder has removed
        meanwhile locks nothing.
        """
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                said = os.pread(descriptor, 1000, 0)
                os.close(descriptor)
                raise AlreadyRunning(_refusal(self.path.parent, said)) from None
            except OSError as error:  # a file system without locks
                log.warning("cannot lock %s: %s; see that no other run writes", self.path, error)
                return descriptor
            if self._lies_there(descriptor):
                return descriptor
            os.close(descriptor)

    def _lies_there(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self.path.stat())
        except FileNotFoundError:
            return False


def _refusal(folder: Path, said: bytes) -> str:
    try:
        holder = json.loads(said)
        who = "process {pid} on {host}, since {since}".format(**holder)
    except (ValueError, KeyError, TypeError):  # it has only just begun
        who = "another process"
    return f"{folder} is being made by {who}; wait until that run has ended, or end it"

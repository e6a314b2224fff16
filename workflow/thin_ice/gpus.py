"""One GPU a job on a machine without a scheduler that deals them out.

Jobs that share N GPUs by `NUMBER` each claim one: an exclusive lock on a file a user and a device
in the temporary folder, held so long as the process lives. The kernel lets go of it when the
process ends, however it does, so no claim outlives its job. The others see none. To be settled
before torch looks for devices.
"""

import fcntl
import logging
import os
import re
import tempfile
import time
from pathlib import Path

from thin_ice.errors import ThinIceError

NUMBER = "THIN_ICE_GPUS"  # how many GPUs the jobs of this machine share; unset: all see all
VISIBLE = "CUDA_VISIBLE_DEVICES"
PAUSE = 0.2  # seconds between looks for a free device

log = logging.getLogger("thin_ice")

_claims: list[int] = []  # file descriptors: closing one would let go of its device


def settle(computes: bool) -> None:
    """Leave this process one GPU if it ``computes`` on one, else none; waits until one is free.

    Nothing changes where jobs do not share GPUs, or where this process has claimed one before.

    Raises:
        ThinIceError: `NUMBER` is no positive number, or the temporary folder cannot hold a claim.
    """
    if not (number := os.environ.get(NUMBER)) or _claims:
        return
    devices = _devices(number, os.environ.get(VISIBLE))
    os.environ[VISIBLE] = _claim(devices) if computes and devices else ""


def warn_of(device: str) -> None:
    """A device was claimed and torch sees none: there are fewer than `NUMBER` says, or none."""
    if _claims and device == "cpu":
        log.warning("GPU %s was claimed and torch sees none: on the CPU", os.environ[VISIBLE])


def visible() -> dict[str, str]:
    """For the record: which devices this process was left, where somebody has said so."""
    return {"visible_devices": os.environ[VISIBLE]} if VISIBLE in os.environ else {}


def _devices(number: str, listed: str | None) -> list[str]:
    """What may be claimed: the first N devices, of the list where there is one. As CUDA reads it,
    the list ends before -1.
    """
    if not re.fullmatch("[1-9][0-9]*", number):
        raise ThinIceError(f"{NUMBER}: {number!r}; allowed: 1 or more, or unset")
    if listed is None:
        return [str(device) for device in range(int(number))]
    names = [name.strip() for name in listed.split(",") if name.strip()]
    names = names[: names.index("-1")] if "-1" in names else names
    return names[: int(number)]


def _claim(devices: list[str]) -> str:
    """The first device that nobody holds."""
    waited = False
    while True:
        for device in devices:
            if _held(device):
                return device
        if not waited:
            log.warning("waiting for a GPU: %s are in use", ", ".join(devices))
        waited = True
        time.sleep(PAUSE)


def _held(device: str) -> bool:
    """Whether the device is now this process's."""
    file = _file(device)
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:  # a full or read-only disk, or somebody else's file
        raise ThinIceError(
            f"cannot claim GPU {device}: {error}; TMPDIR can name another folder"
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return False
    _claims.append(descriptor)
    return True


def _file(device: str) -> Path:
    """Devices are known by their number or UUID, users by their number: one in a container may have
    no name.
    """
    name = re.sub(r"[^\w.-]", "_", device)
    return Path(tempfile.gettempdir()) / f"thin-ice-{os.getuid()}-gpu-{name}.lock"

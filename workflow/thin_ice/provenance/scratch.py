"""A node's own disk in front of the shared one: a large input is copied there once and read there.

A copy is named by the digest that the input's record gives it and is read only if it has that
digest, so it need not be trusted, and what jobs make from it is the same as without it.
"""

import logging
import os
import shutil
from pathlib import Path

from thin_ice.files import atomic_path, sha256
from thin_ice.provenance.materials import Material, material, recorded

log = logging.getLogger("thin_ice")


def near(path: Path, scratch: str) -> tuple[Path, Material]:
    """The file to read in place of an input, and the input as records are to name it.

    Args:
        path: an input.
        scratch: a folder of this machine; environment variables in it are expanded here.

    It is the input itself where no record says what it holds, or nothing can be written.

    Raises:
        FalseInput: the record beside the input made it with other contents, or cannot be read.
    """
    if digest := recorded(path):
        try:
            copy = _copy(path, digest, _folder(scratch))
        except OSError as error:
            log.warning("%s is read where it is, without a copy in scratch: %s", path, error)
        else:
            return copy, material(path, digest)
    return path, material(path)


def _folder(scratch: str) -> Path:
    """A folder of one's own, since a scratch is shared with others. It has the user's number, since
    in a container a user may have no name.
    """
    expanded = os.path.expandvars(scratch)
    if "$" in expanded:
        raise FileNotFoundError(f"{scratch} has a variable that is not set here")
    return Path(expanded) / f"thin-ice-{os.getuid()}"


def _copy(path: Path, digest: str, folder: Path) -> Path:
    """The copy with this digest, made if there is none. Jobs that start at once may each make it;
    it is whole whichever comes last.

    Raises:
        OSError: it cannot be written, or the input has another digest.
    """
    copy = folder / f"{digest}{path.suffix}"
    if copy.is_file() and sha256(copy) == digest:
        return copy
    with atomic_path(copy) as temporary:
        shutil.copyfile(path, temporary)
        if sha256(temporary) != digest:
            raise OSError("it is not what its record says")
    return copy

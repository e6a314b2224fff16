"""The sources that made a study's artifacts, kept beside them under their fingerprint.

One file a fingerprint: the same code is kept once, however many jobs ran it. The name says what
the contents must come to, so nobody can change a kept source unseen, and a later reader can see
line by line what was different, with or without the repository.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from thin_ice.errors import ThinIceError
from thin_ice.files import write_json
from thin_ice.provenance.fingerprint import Sources, fingerprint_of, sources

FOLDER = "code"  # below the study's folder
UNREADABLE = (OSError, ValueError, SyntaxError, AttributeError, TypeError, RecursionError)
UNREADABLE += (MemoryError,)  # what Python's parser calls too deep


class DamagedCode(ThinIceError):
    """Kept sources cannot be read, or are not those that their name promises."""


def keep(folder: Path, modules: Iterable[str]) -> Path:
    """Write the present sources of ``modules`` into ``folder``, unless they are there already."""
    files = sources(modules)
    path = folder / f"{fingerprint_of(files)}.json"
    if not path.exists():
        write_json(path, files)
    return path


def kept(folder: Path, fingerprint: str) -> Sources | None:
    """The sources kept under a fingerprint; None where there are none.

    Raises:
        DamagedCode: see there.
    """
    path = folder / f"{fingerprint}.json"
    try:
        if not path.is_file():
            return None
        files = json.loads(path.read_text(encoding="utf-8"))
        found = fingerprint_of(files)
    except UNREADABLE as error:
        raise DamagedCode(f"{path} holds no readable sources: {error}") from None
    if found != fingerprint:
        raise DamagedCode(f"{path} holds other sources than its name says: {found}")
    return files

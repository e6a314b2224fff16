"""What a job was made from: each input with its digest and the record of the job that made it."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from thin_ice.errors import ThinIceError
from thin_ice.files import sha256
from thin_ice.provenance.planned import RECORD
from thin_ice.provenance.statement import DamagedRecord, read_record


class FalseInput(ThinIceError):
    """An input is not what its record says; nothing may be built on it."""


@dataclass(frozen=True)
class Material:
    """An input of a job.

    Attributes:
        path: where it lies.
        sha256: of its contents when the job began.
        record_sha256: of the record beside it, where that record made it.
        name: for a file from outside the study, what records call it.
    """

    path: Path
    sha256: str
    record_sha256: str | None = None
    name: str | None = None


def recorded(path: Path) -> str | None:
    """The digest of an input by the record beside it; None if no record there made it.

    Raises:
        FalseInput: the record cannot be read.
    """
    record = path.parent / RECORD
    if not record.is_file():
        return None
    try:
        return read_record(record).subjects.get(path.name)
    except DamagedRecord as error:
        raise FalseInput(f"input {path}: {error}") from None


def material(path: Path, known: str | None = None) -> Material:
    """Describe an input; ``known``: its digest, if its contents have been read already.

    Raises:
        FalseInput: the record beside it made it with other contents, or cannot be read.
    """
    digest, made = known or sha256(path), recorded(path)
    if made is None:
        return Material(path, digest)
    if made != digest:
        raise FalseInput(
            f"input {path} is not what its record says: {digest}, recorded {made}; "
            "delete it to have it made again (python -m thin_ice audit looks at the whole study)"
        )
    return Material(path, digest, sha256(path.parent / RECORD))


def source(name: str, path: Path) -> Material:
    """Describe a file from outside the study."""
    return Material(path, sha256(path), name=name)


def identity(job: str, materials: Iterable[Material]) -> str:
    """Names a result before it is made: digest of a job's text and of what it is made from."""
    contents = [one.sha256 for one in materials]
    return hashlib.sha256("\n".join([job, *contents]).encode()).hexdigest()

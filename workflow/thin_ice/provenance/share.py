"""Results shared between studies and users: whoever needs the same job takes its outputs.

A folder that several people can write holds finished jobs under their identity, the digest of a
job's parameters, of its code and of the contents of its inputs. The same key means the same job,
whatever the study is called, so nothing in it has to be trusted but the people who write there;
what is taken is checked against its record, and a damaged entry is passed over.
"""

import logging
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from thin_ice.files import atomic_folder, atomic_path, sha256
from thin_ice.provenance.planned import RECORD
from thin_ice.provenance.statement import DamagedRecord, Record, read_record

log = logging.getLogger("thin_ice")


def find(folder: Path, identity: str, job: Mapping) -> Record | None:
    """The record of a shared job with this identity; None where there is none that holds."""
    record, wrong = _held(_entry(folder, identity), job)
    if wrong:
        log.warning("not taken from %s: %s", _entry(folder, identity), wrong)
    return record


def _held(entry: Path, job: Mapping) -> tuple[Record | None, str | None]:
    """The record of an entry, or what is wrong with it; neither where there is no entry."""
    if not (entry / RECORD).is_file():
        return None, None
    try:
        record = read_record(entry / RECORD)
        wrong = next(_faults(entry, record, job), None)
    except (DamagedRecord, OSError) as error:
        return None, str(error)
    return (None, wrong) if wrong else (record, None)


def _faults(entry: Path, record: Record, job: Mapping) -> Iterable[str]:
    if record.job != job or record.code != job["code"]["sha256"] or not record.sealed:
        yield "its record is of another job"
    for name, digest in record.subjects.items():
        if "/" in name or sha256(entry / name) != digest:
            yield f"{name} is not what its record says"


def take(folder: Path, identity: str, record: Record, target: Path) -> list[Path]:
    """Copy a shared job's outputs; where they are now. A copy, since links would share edits."""
    paths = [target / name for name in record.subjects]
    for path in paths:
        with atomic_path(path) as temporary:
            shutil.copyfile(_entry(folder, identity) / path.name, temporary)
    return paths


def facts_of(folder: Path, identity: str, record: Record) -> dict:
    """What the record of a taken result says of its run: that of the job that computed it."""
    origin = {
        "identity": identity,
        "record_sha256": sha256(_entry(folder, identity) / RECORD),
        "startedOn": record.began.isoformat(),
        "finishedOn": record.ended.isoformat(),
    }
    return {**record.run, "shared": record.run.get("shared", origin)}


def offer(folder: Path, identity: str, job: Mapping, files: Iterable[Path]) -> None:
    """Leave a finished job, its record among the files, for others; whole or not at all.

    It takes the place of an entry that does not hold. A share that cannot be written to is no
    reason to fail.
    """
    entry = _entry(folder, identity)
    try:
        held, _ = _held(entry, job)
        if held:
            return
        shutil.rmtree(entry, ignore_errors=True)
        with atomic_folder(entry) as temporary:
            for file in files:
                shutil.copyfile(file, temporary / file.name)
    except OSError as error:
        log.warning("not shared in %s: %s", folder, error)


def _entry(folder: Path, identity: str) -> Path:
    return folder / identity[:2] / identity

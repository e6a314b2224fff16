"""The root digest of a study: one number that pins every artifact that its report rests on.

It is taken over the paths and SHA-256 of all outputs of all jobs before the report, so two runs
with the same results have the same root, whenever and wherever they ran.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from posixpath import join

from thin_ice.files import canonical_json
from thin_ice.provenance.planned import RECORD
from thin_ice.provenance.statement import Record, read_record

REPORT = "report/report.html"  # prints the root, below the study's folder
PRINTED = re.compile(r'<code id="root">([0-9a-f]{64})</code>')


def digest(records: Mapping[str, Record], folders: Iterable[str]) -> str:
    """The root over the outputs of the jobs in these folders, which are below the study's."""
    outputs = {
        join(folder, name): sha256
        for folder in folders
        for name, sha256 in records[folder].subjects.items()
    }
    return hashlib.sha256(canonical_json(outputs).encode()).hexdigest()


def beneath(study: Path, files: Iterable[Path]) -> str:
    """The root over all that these files were made from, themselves included.

    Raises:
        DamagedRecord, FileNotFoundError: a record in the chain.
    """
    records: dict[str, Record] = {}
    waiting = {path.parent for path in files}
    while waiting:
        folder = waiting.pop()
        name = Path(os.path.relpath(folder, study)).as_posix()
        if name not in records:
            records[name] = read_record(folder / RECORD)
            named = [one.name for one in records[name].dependencies if not one.source]
            waiting |= {Path(os.path.normpath(folder / file)).parent for file in named}
    return digest(records, records)


def printed(report: Path) -> str | None:
    """The root that a report prints; None where there is no report or none in it."""
    if not report.is_file():
        return None
    try:
        found = PRINTED.search(report.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None
    return found and found[1]

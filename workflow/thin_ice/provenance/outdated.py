"""Which artifacts of a study are out of date, and why: their records against what is planned.

File times say nothing here, so a copied or freshly cloned folder is as good as the one it came
from. An artifact is up to date when its record is of the planned job, the code that ran is the
present code, and its inputs are, by their digests, what the records of those inputs say was made.
Files are not read (the audit does that), only records, and files from outside the study.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from posixpath import dirname, join, normpath

from thin_ice.files import canonical_json, sha256
from thin_ice.provenance.differences import ABSENT, Change, changed_keys
from thin_ice.provenance.planned import PlannedJob
from thin_ice.provenance.statement import DamagedRecord, Dependency, Record, read_record

Reasons = list["Reason"]
NOT_MADE, UPSTREAM = "not made", "upstream"  # kinds of reasons
FINGERPRINT = "fingerprint"  # what changed of code, where no line can be named


@dataclass(frozen=True)
class Reason:
    """Why an artifact is out of date.

    ``kind``: not made, damaged, gone, parameter, software, code, input, source or upstream.
    """

    kind: str
    change: Change

    def __str__(self) -> str:
        if self.kind in (NOT_MADE, "damaged", "gone", UPSTREAM):
            return f"{self.kind}: {self.change.what}"
        return f"{self.kind} {self.change}"


def outdated(root: Path, jobs: Iterable[PlannedJob]) -> dict[str, Reasons]:
    """The jobs to run again, by their folder, with every reason.

    Args:
        root: the study's folder.
        jobs: each after those whose files it reads.
    """
    found: dict[str, Reasons] = {}
    made: dict[str, str] = {}  # file below the root to the digest that its record says
    for job in jobs:
        try:
            record = read_record(root / job.record)
        except FileNotFoundError:
            found[job.folder] = [Reason(NOT_MADE, Change(job.folder, ABSENT, ABSENT))]
            continue
        except DamagedRecord as error:
            found[job.folder] = [Reason("damaged", Change(str(error), ABSENT, ABSENT))]
            continue
        made |= {join(job.folder, name): digest for name, digest in record.subjects.items()}
        if reasons := [*_of_job(job, record), *_of_files(root, job, record, made, found)]:
            found[job.folder] = reasons
    return found


def _of_job(job: PlannedJob, record: Record) -> Reasons:
    """What is planned otherwise than it was run: parameters, software, code. No key differs
    where the two texts are the same, since a text is canonical.
    """
    if canonical_json(record.job) == job.text and record.code == record.job["code"]["sha256"]:
        return []
    reasons = [
        Reason(kind, change)
        for key, kind in (("parameters", "parameter"), ("software", "software"))
        for change in changed_keys(record.job.get(key, {}), job.job.get(key, {}))
    ]
    entered = changed_keys(list(record.modules), job.job["code"]["modules"], "entry points")
    reasons += [Reason("code", change) for change in entered]
    planned = job.job["code"]["sha256"]
    if {record.code, record.job["code"]["sha256"]} != {planned}:
        old = record.code if record.code != planned else record.job["code"]["sha256"]
        reasons.append(Reason("code", Change(FINGERPRINT, old, planned)))
    return reasons


def _of_files(
    root: Path, job: PlannedJob, record: Record, made: Mapping[str, str], found: Mapping
) -> Reasons:
    """What became of the files that the job wrote and read."""
    folder = root / job.folder
    gone = [name for name in record.subjects if not _is_file(folder / name)]
    reasons = [Reason("gone", Change(join(job.folder, name), ABSENT, ABSENT)) for name in gone]
    read = inputs_of(record, job.folder)
    planned = {file: made.get(file, ABSENT) for file in job.files if dirname(file) not in found}
    upstream = dict.fromkeys(dirname(file) for file in job.files if dirname(file) in found)
    reasons += [Reason(UPSTREAM, Change(folder, ABSENT, ABSENT)) for folder in upstream]
    for file in sorted({*planned, *read} - {f for f in read if dirname(f) in found}):
        old, new = read.get(file, ABSENT), planned.get(file, ABSENT)
        if old != new:
            reasons.append(Reason("input", Change(file, old, new)))
    before, after = [f for f in read if f in planned], [f for f in planned if f in read]
    if before != after:
        reasons.append(Reason("input", Change("order", " ".join(before), " ".join(after))))
    return reasons + _of_sources(job, record)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that no file can have
        return False


def _of_sources(job: PlannedJob, record: Record) -> Reasons:
    """Files from outside count where they are: a study that is only looked at needs no dataset."""
    recorded = {one.name: one.sha256 for one in record.dependencies if one.source}
    reasons = []
    for name, path in job.sources.items():
        digest = _digest(path)
        if recorded.get(name) != digest:
            change = Change(name, recorded.get(name, ABSENT), digest)
            reasons.append(Reason("source", change))
    return reasons


@cache
def _digest(path: Path) -> str:
    return sha256(path)


def inputs_of(record: Record, folder: str) -> dict[str, str]:
    """The files of the study that a job read, below the study's folder, with their digests."""
    return {file: one.sha256 for file, one in dependencies_of(record, folder).items()}


def dependencies_of(record: Record, folder: str) -> dict[str, Dependency]:
    """The same files, with all that the record says of them."""
    return {normpath(join(folder, one.name)): one for one in record.dependencies if not one.source}

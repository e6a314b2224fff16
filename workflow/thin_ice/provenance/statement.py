"""Reading a record: what an in-toto statement of a job says, checked for form.

A record seals itself with the digest of all else that it says. That is no protection against
someone who knows the seal (signatures are, and so are the digests of records in the records of
later jobs); it tells an edited record from an honest one where nothing else was kept.
"""

import hashlib
import json
import shlex
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Any

from thin_ice.errors import ThinIceError
from thin_ice.files import canonical_json
from thin_ice.provenance.planned import RECORD

TYPE = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
SEAL, RUN = "seal", "run"  # names of byproducts
JOB = "JOB"  # stands for the job while a command line is read


class DamagedRecord(ThinIceError):
    """A record cannot be read, or is not the statement of a job."""


@dataclass(frozen=True)
class Dependency:
    """A material as a record names it: by its path from the record's folder, or if it came from
    outside the study (``source``) by a name. ``record``: name and digest of the record that made
    it.
    """

    name: str
    sha256: str
    source: bool
    record: tuple[str, str] | None


@dataclass(frozen=True)
class Record:
    """What a record says."""

    statement: dict[str, Any]
    subjects: dict[str, str]  # name to digest
    dependencies: tuple[Dependency, ...]
    job: dict[str, Any]
    command: str
    versions: dict[str, str]
    began: datetime
    ended: datetime
    run: dict[str, Any]  # what the job noted of its run

    @property
    def code(self) -> str:
        """Fingerprint of the code that really ran."""
        return self.run["code"]["sha256"]

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules that the job entered by."""
        return tuple(self.job["code"]["modules"])

    @property
    def software(self) -> dict[str, str]:
        """Versions of the packages that the job's code can reach."""
        return {name: self.versions[name] for name in self.run["uses"] if name in self.versions}

    @cached_property
    def sealed(self) -> bool:
        """Whether the record is as it was written."""
        byproducts = self.statement["predicate"]["runDetails"]["byproducts"]
        seals = [entry for entry in byproducts if entry.get("name") == SEAL]
        return seals == [_seal(self.statement)]

    @cached_property
    def words(self) -> list[str]:
        """Of the command line; none where it cannot be one.

        The job, by far the longest word, is set aside while the others are told apart: that takes
        a tenth of the time.
        """
        job = canonical_json(self.job)
        short = self.command.replace(shlex.quote(job), JOB, 1)
        try:
            return [job if word == JOB else word for word in shlex.split(short)]
        except ValueError:
            return []

    @property
    def command_fits(self) -> bool:
        """Whether the command line is one that runs this job."""
        try:
            job = json.loads(self.words[self.words.index("--job") + 1])
            return job == self.job and self.job["stage"] in self.words
        except (ValueError, IndexError, RecursionError):
            return False

    def made_in(self, folder: str) -> bool:
        """Whether the command line wrote the record into this folder of a study, as far as it
        says: a relative path may begin anywhere.
        """
        try:
            path = PurePosixPath(normpath(self.words[self.words.index("--record") + 1]))
        except (ValueError, IndexError):
            return True
        written = [part for part in path.parts if part != ".."]
        here = PurePosixPath(folder, RECORD).parts
        return all(a == b for a, b in zip(reversed(written), reversed(here), strict=False))


def read_record(path: Path) -> Record:
    """Read a record.

    Raises:
        DamagedRecord: see there.
        FileNotFoundError: there is none.
    """
    if not path.is_file():  # a folder, a pipe, a link to nothing
        raise FileNotFoundError(path)
    return record_of(path.read_bytes(), path)


def record_of(text: bytes, path: Path) -> Record:
    """What a record's file holds, understood. Raises `DamagedRecord`, which names the path."""
    try:
        return parse_record(json.loads(text))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedRecord(f"{path} is no record of a job: {error!r}") from None


def parse_record(statement: dict[str, Any]) -> Record:
    """What a statement says. Raises ValueError, LookupError, TypeError or AttributeError."""
    if statement["_type"] != TYPE or statement["predicateType"] != PREDICATE:
        raise ValueError("not an in-toto statement of SLSA provenance")
    definition = statement["predicate"]["buildDefinition"]
    details = statement["predicate"]["runDetails"]
    record = Record(
        statement,
        {_text(one["name"]): _text(one["digest"]["sha256"]) for one in statement["subject"]},
        tuple(_dependency(entry) for entry in definition["resolvedDependencies"]),
        definition["externalParameters"],
        _text(definition["internalParameters"]["command"]),
        {_text(name): _text(one) for name, one in details["builder"]["version"].items()},
        _time(details["metadata"]["startedOn"]),
        _time(details["metadata"]["finishedOn"]),
        {one["name"]: one.get("annotations") for one in details["byproducts"]}[RUN],
    )
    job = record.job
    for said in (record.code, *record.modules, job["stage"], job["code"]["sha256"]):
        _text(said)
    _ = record.software, job["parameters"], record.sealed
    return record


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.60} is no text")
    return value


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text} is a time of no zone")
    return time


def _dependency(entry: dict[str, Any]) -> Dependency:
    notes = entry.get("annotations", {})
    made = notes.get("record")
    return Dependency(
        _text(entry["name"]),
        _text(entry["digest"]["sha256"]),
        bool(notes.get("source")),
        (_text(made["name"]), _text(made["digest"]["sha256"])) if made else None,
    )


def seal_of(statement: dict[str, Any]) -> str:
    """The digest that seals a statement: of all it says but the seal."""
    details = statement["predicate"]["runDetails"]
    rest = [entry for entry in details["byproducts"] if entry.get("name") != SEAL]
    predicate = statement["predicate"] | {"runDetails": details | {"byproducts": rest}}
    return hashlib.sha256(canonical_json(statement | {"predicate": predicate}).encode()).hexdigest()


def sealed(statement: dict[str, Any]) -> dict[str, Any]:
    """The statement with its seal added."""
    details = statement["predicate"]["runDetails"]
    byproducts = [*details["byproducts"], _seal(statement)]
    predicate = statement["predicate"] | {"runDetails": details | {"byproducts": byproducts}}
    return statement | {"predicate": predicate}


def _seal(statement: dict[str, Any]) -> dict[str, Any]:
    return {"name": SEAL, "digest": {"sha256": seal_of(statement)}}

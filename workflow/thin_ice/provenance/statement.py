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
from pathlib import Path
from typing import Any

from thin_ice.errors import ThinIceError
from thin_ice.files import canonical_json

TYPE = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
SEAL, RUN = "seal", "run"  # names of byproducts


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
        return seal_of(self.statement) == _seal(self.statement)

    @cached_property
    def command_fits(self) -> bool:
        """Whether the command line is one that runs this job."""
        try:
            words = shlex.split(self.command)
            job = json.loads(words[words.index("--job") + 1])
        except (ValueError, IndexError):
            return False
        return job == self.job and self.job["stage"] in words


def read_record(path: Path) -> Record:
    """Read a record.

    Raises:
        DamagedRecord: see there.
        FileNotFoundError: there is none.
    """
    text = path.read_bytes()
    try:
        return parse_record(json.loads(text))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DamagedRecord(f"{path} is no record of a job: {error!r}") from None


def parse_record(statement: dict[str, Any]) -> Record:
    """What a statement says. Raises ValueError, LookupError, TypeError or AttributeError."""
    if statement["_type"] != TYPE or statement["predicateType"] != PREDICATE:
        raise ValueError("not an in-toto statement of SLSA provenance")
    definition = statement["predicate"]["buildDefinition"]
    details = statement["predicate"]["runDetails"]
    record = Record(
        statement,
        {subject["name"]: subject["digest"]["sha256"] for subject in statement["subject"]},
        tuple(_dependency(entry) for entry in definition["resolvedDependencies"]),
        definition["externalParameters"],
        definition["internalParameters"]["command"],
        dict(details["builder"]["version"]),
        datetime.fromisoformat(details["metadata"]["startedOn"]),
        datetime.fromisoformat(details["metadata"]["finishedOn"]),
        next(b["annotations"] for b in details["byproducts"] if b["name"] == RUN),
    )
    _ = record.code, record.modules, record.software, record.job["stage"], record.job["parameters"]
    _ = record.job["code"]["sha256"]
    return record


def _dependency(entry: dict[str, Any]) -> Dependency:
    notes = entry.get("annotations", {})
    made = notes.get("record")
    return Dependency(
        entry["name"],
        entry["digest"]["sha256"],
        bool(notes.get("source")),
        made and (made["name"], made["digest"]["sha256"]),
    )


def seal_of(statement: dict[str, Any]) -> str:
    """The digest that seals a statement: of all it says but the seal."""
    details = statement["predicate"]["runDetails"]
    rest = [entry for entry in details["byproducts"] if entry.get("name") != SEAL]
    predicate = statement["predicate"] | {"runDetails": details | {"byproducts": rest}}
    return hashlib.sha256(canonical_json(statement | {"predicate": predicate}).encode()).hexdigest()


def sealed(statement: dict[str, Any]) -> dict[str, Any]:
    """The statement with its seal added."""
    seal = {"name": SEAL, "digest": {"sha256": seal_of(statement)}}
    details = statement["predicate"]["runDetails"]
    byproducts = [*details["byproducts"], seal]
    predicate = statement["predicate"] | {"runDetails": details | {"byproducts": byproducts}}
    return statement | {"predicate": predicate}


def _seal(statement: dict[str, Any]) -> str | None:
    for entry in statement["predicate"]["runDetails"]["byproducts"]:
        if entry.get("name") == SEAL:
            return entry["digest"]["sha256"]
    return None

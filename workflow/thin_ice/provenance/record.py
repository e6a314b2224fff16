"""The record of a job: an in-toto Statement (v1) with a SLSA-provenance predicate.

It names every output with its SHA-256, every input with its SHA-256 and the record that made it,
the resolved parameters, the code, the software, the machine and the time, and is written last: an
artifact without a record was not finished.
"""

import datetime
import os
import shlex
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from thin_ice.files import sha256, write_json
from thin_ice.provenance.machine import PACKAGES, host, packages_used, scheduler_job, versions
from thin_ice.provenance.materials import Material
from thin_ice.provenance.planned import RECORD
from thin_ice.provenance.statement import PREDICATE, RUN, TYPE, sealed

LISTED = [*PACKAGES.values(), "snakemake"]
BUILD_TYPE = "https://github.com/thin-ice/thin-ice/job/v2"


def now() -> str:
    """UTC time in ISO 8601, to the millisecond."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


def write_record(
    path: Path,
    job: Mapping,
    materials: Iterable[Material],
    outputs: Iterable[Path],
    began: str,
    facts: Mapping,
    software: Mapping[str, str] | None = None,
) -> None:
    """Write the record of a finished job beside its outputs.

    Args:
        path: where it goes.
        job: what was planned.
        materials: what the job read.
        outputs: what it wrote, in the record's folder.
        began: UTC time, as `now` gives it.
        facts: what else is to be remembered (device, seconds per attack, warnings).
        software: versions of the packages that computed; those installed here if none are given.
    """
    statement = {
        "_type": TYPE,
        "subject": [_subject(file, path.parent) for file in outputs],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": dict(job),
                "internalParameters": {"command": shlex.join(["python", *_command()])},
                "resolvedDependencies": [_dependency(one, path.parent) for one in materials],
            },
            "runDetails": {
                "builder": {"id": BUILD_TYPE, "version": software or versions(LISTED)},
                "metadata": {
                    "invocationId": scheduler_job(),
                    "startedOn": began,
                    "finishedOn": now(),
                },
                "byproducts": [{"name": RUN, "annotations": _run(job, facts)}],
            },
        },
    }
    write_json(path, sealed(statement))


def _subject(file: Path, folder: Path) -> dict:
    return {"name": os.path.relpath(file, folder), "digest": {"sha256": sha256(file)}}


def _dependency(one: Material, folder: Path) -> dict:
    """A file of the study by its path from the record's folder, so that a copied tree still fits;
    a file from outside by its name.
    """
    described: dict = {
        "name": one.name or os.path.relpath(one.path, folder),
        "digest": {"sha256": one.sha256},
    }
    if one.name:
        described["annotations"] = {"source": True}
    if one.record_sha256:
        record = os.path.relpath(one.path.parent / RECORD, folder)
        made = {"name": record, "digest": {"sha256": one.record_sha256}}
        described["annotations"] = {"record": made}
    return described


def _command() -> list[str]:
    return ["-m", "thin_ice", *sys.argv[1:]]


def _run(job: Mapping, facts: Mapping) -> dict:
    return {
        **host(),
        "uses": ["python", *packages_used(job["code"]["modules"])],
        "seed": job["parameters"].get("seed"),
        **facts,
    }

"""The record of a job: an in-toto Statement (v1) with a SLSA-provenance predicate.

It names every output with its SHA-256, every input with its SHA-256, the resolved parameters, the
code, the software, the machine and the time, and is written last: an artifact without a record was
not finished.
"""

import datetime
import importlib.metadata
import os
import platform
import resource
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from thin_ice.files import write_json
from thin_ice.provenance.hashing import sha256

PACKAGES = (
    "torch",
    "numpy",
    "pandas",
    "pyarrow",
    "scikit-learn",
    "scipy",
    "safetensors",
    "pyautoattack",
    "pillow",
    "seaborn",
    "matplotlib",
    "snakemake",
)
BUILD_TYPE = "https://github.com/thin-ice/thin-ice/job/v1"
REPOSITORY = Path(__file__).resolve().parents[3]


def now() -> str:
    """UTC time in ISO 8601, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def write_record(
    path: Path,
    job: Mapping,
    inputs: list[Path],
    outputs: list[Path],
    began: str,
    facts: Mapping,
) -> None:
    """Write the record of a finished job beside its outputs.

    ``facts``: what else the job wants remembered (device, seconds per attack, warnings).
    """
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [_described(file, path.parent) for file in outputs],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": dict(job),
                "internalParameters": {"command": shlex.join(["python", *_command()])},
                "resolvedDependencies": [_described(file, path.parent) for file in inputs],
            },
            "runDetails": {
                "builder": {"id": BUILD_TYPE, "version": _packages()},
                "metadata": {
                    "invocationId": scheduler_job(),
                    "startedOn": began,
                    "finishedOn": now(),
                },
                "byproducts": [{"name": "run", "annotations": _run(facts)}],
            },
        },
    }
    write_json(path, statement)


def _described(file: Path, folder: Path) -> dict:
    """A file by its path relative to the record's folder, so that a copied tree still fits."""
    return {
        "name": os.path.relpath(file, folder),
        "digest": {"sha256": sha256(file)},
    }


def _command() -> list[str]:
    return ["-m", "thin_ice", *sys.argv[1:]]


def _packages() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def scheduler_job() -> str:
    """The scheduler's id of this job, or the process id where there is no scheduler."""
    slurm = os.environ.get("SLURM_JOB_ID")
    return f"slurm:{slurm}" if slurm else f"pid:{os.getpid()}"


def _run(facts: Mapping) -> dict:
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "host": platform.node(),
        "platform": platform.platform(),
        "peak_memory_mib": round(peak_kib / 1024, 1),
        **facts,
    }


def git_state() -> dict[str, object]:
    """The commit of the checkout that this library lies in, and whether it had changes."""
    commit = _git("rev-parse", "HEAD")
    return {"commit": commit, "dirty": bool(_git("status", "--porcelain")) if commit else None}


def _git(*arguments: str) -> str | None:
    """What git prints; None where there is no git or no checkout."""
    try:
        done = subprocess.run(
            ["git", "-C", str(REPOSITORY), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()

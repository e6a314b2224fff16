"""A folder that has the form of a large finished study: many jobs, records, artifacts and bytes."""

import os
import sys
from pathlib import Path
from unittest import mock

from thin_ice.files import canonical_json
from thin_ice.provenance.code_store import keep
from thin_ice.provenance.fingerprint import fingerprint
from thin_ice.provenance.materials import material
from thin_ice.provenance.record import now, write_record

MODULES = ["thin_ice.commands.study"]
OUTPUTS = 2  # a job


def make_large_study(root: Path, artifacts: int, total_bytes: int) -> None:
    """``artifacts`` files of random bytes, two a job; each job reads the first file of an earlier
    one, in chains of ten.
    """
    job = {"stage": "study", "parameters": {}, "code": {"modules": MODULES}}
    job["code"]["sha256"] = fingerprint(MODULES)
    command = ["thin_ice", "study", "--job", canonical_json(job)]
    facts = {"code": {"sha256": job["code"]["sha256"], "as_planned": True}}
    keep(root / "code", MODULES)
    size, inputs = total_bytes // artifacts, []
    for number in range(artifacts // OUTPUTS):
        folder = root / f"group{number // 10}" / f"job{number % 10}"
        folder.mkdir(parents=True)
        outputs = [folder / f"part{part}.bin" for part in range(OUTPUTS)]
        for path in outputs:
            path.write_bytes(os.urandom(size))
        materials = [material(path) for path in inputs]
        with mock.patch.object(sys, "argv", command):  # records keep their command line
            write_record(folder / "provenance.json", job, materials, outputs, now(), facts)
        inputs = outputs[:1] if number % 10 < 9 else []

"""A folder that has the form of a finished study, so that a study with nothing to do can be planned
without computing anything: every output of every job, some words, and the record of each job.
"""

import subprocess
import sys
from functools import cache
from pathlib import Path
from unittest import mock

from thin_ice.provenance import record
from thin_ice.provenance.machine import packages_used, versions
from thin_ice.provenance.materials import material, source
from thin_ice.provenance.planned import RECORD, PlannedJob
from thin_ice.study.jobs import planned_jobs
from thin_ice.study.load import study_from_file


def finish(study_file: Path, folder: Path, snakefile: Path) -> None:
    """Fill ``folder`` with what Snakemake finds in it when the study has run there."""
    study = study_from_file(study_file)
    root, outputs = folder / study.folder, _outputs(study_file, folder, snakefile)
    described, used = cache(material), cache(packages_used)
    software = versions(record.LISTED)
    with mock.patch.object(record, "packages_used", lambda modules: used(tuple(modules))):
        for job in planned_jobs(study):
            (root / job.folder).mkdir(parents=True, exist_ok=True)
            for file in (made := outputs[root / job.folder]):
                file.write_text(f"{file}\n")
            read = [described(root / file) for file in job.files]
            read += [source(name, path) for name, path in job.sources.items()]
            facts = {"code": {"sha256": job.job["code"]["sha256"], "as_planned": True}}
            with mock.patch.object(sys, "argv", _command(job, study.folder)):
                record.write_record(
                    root / job.record, job.job, read, made, record.now(), facts, software
                )


def _outputs(study_file: Path, folder: Path, snakefile: Path) -> dict[Path, list[Path]]:
    """By their folders, the files that the rules write, records left out."""
    command = [Path(sys.executable).parent / "snakemake", "--summary", "--snakefile", snakefile]
    command += ["--configfile", study_file, "--directory", folder]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: dict[Path, list[Path]] = {}
    for line in said.splitlines()[1:]:  # the first names the columns
        file = folder / line.partition("\t")[0]
        found.setdefault(file.parent, [])
        if file.name != RECORD:
            found[file.parent].append(file)
    return found


def _command(job: PlannedJob, results: str) -> list[str]:
    """As it would stand in a log, without the inputs."""
    return ["thin_ice", job.stage, "--job", job.text, "--record", f"{results}/{job.record}"]

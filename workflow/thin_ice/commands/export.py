"""Export a finished study as an RO-Crate that others can read, check and publish."""

import argparse
from pathlib import Path
from posixpath import dirname

from thin_ice.commands import present
from thin_ice.provenance.audit import audit, require_sound
from thin_ice.provenance.crate.export import export, require_empty
from thin_ice.provenance.crate.study import finished_study
from thin_ice.provenance.evidence import gather
from thin_ice.provenance.finding import Status
from thin_ice.provenance.machine import REPOSITORY
from thin_ice.study.jobs import planned_jobs

TOLERATED = (Status.OTHER_CODE, Status.MIXED_SOFTWARE)  # the crate holds the code that ran


def add_arguments(parser: argparse.ArgumentParser) -> None:
    present.add_arguments(parser)
    parser.add_argument("--to", type=Path, required=True, help="a new or empty folder")


def run(options: argparse.Namespace) -> int:
    """0 when the crate is written.

    Raises:
        ThinIceError: the target holds something, or the study is not finished or not sound.
    """
    require_empty(options.to)
    folder, study, _ = present.results_and_study(options)
    evidence, jobs = gather(folder), planned_jobs(study)
    found = audit(evidence, jobs)
    planned = {job.folder for job in jobs}
    found.artifacts = [one for one in found.artifacts if dirname(one.path) in planned]
    require_sound(found, folder, TOLERATED)
    finished = finished_study(evidence, jobs)
    export(finished, REPOSITORY, options.to)
    print(f"exported {len(finished.jobs)} jobs, {len(finished.digests)} artifacts to {options.to}")
    return 0

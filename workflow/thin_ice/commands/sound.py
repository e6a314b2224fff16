"""A finished study that an audit has found sound: what may leave the house."""

import argparse
from pathlib import Path
from posixpath import dirname

from thin_ice.commands import present
from thin_ice.provenance.audit import audit, require_sound
from thin_ice.provenance.crate.export import require_empty
from thin_ice.provenance.crate.study import FinishedStudy, finished_study
from thin_ice.provenance.evidence import gather
from thin_ice.provenance.finding import Status
from thin_ice.study.jobs import planned_jobs

# Numbers of an earlier code may leave: their records name it, and a crate holds it.
TOLERATED = (Status.OTHER_CODE, Status.MIXED_SOFTWARE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of whoever calls `sound_study`."""
    present.add_arguments(parser)
    parser.add_argument("--to", type=Path, required=True, help="a new or empty folder")


def sound_study(options: argparse.Namespace) -> FinishedStudy:
    """The study that the options name; leftovers of other studies stay out.

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
    return finished_study(evidence, jobs)

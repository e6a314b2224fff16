"""A finished study that an audit has found sound: what may leave the house."""

import argparse
from collections.abc import Sequence
from posixpath import dirname

from thin_ice.commands import present
from thin_ice.provenance.audit import audit, require_sound
from thin_ice.provenance.crate.study import FinishedStudy, finished_study
from thin_ice.provenance.evidence import gather
from thin_ice.provenance.finding import Status
from thin_ice.study.jobs import planned_jobs


def sound_study(options: argparse.Namespace, tolerated: Sequence[Status]) -> FinishedStudy:
    """The study that the options of `present` name; leftovers of other studies stay out.

    Raises:
        ThinIceError: it is not finished or not sound, but for the findings ``tolerated``.
    """
    folder, study, _ = present.results_and_study(options)
    evidence, jobs = gather(folder), planned_jobs(study)
    found = audit(evidence, jobs)
    planned = {job.folder for job in jobs}
    found.artifacts = [one for one in found.artifacts if dirname(one.path) in planned]
    require_sound(found, folder, tolerated)
    return finished_study(evidence, jobs)

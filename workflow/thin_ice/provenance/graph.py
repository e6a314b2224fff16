"""The graph of a study's jobs: what follows from one."""

from collections.abc import Collection, Iterable
from posixpath import dirname

from thin_ice.provenance.planned import PlannedJob


def with_followers(jobs: Iterable[PlannedJob], folders: Collection[str]) -> set[str]:
    """The folders, and those of every job that reads their files, at any depth.

    ``jobs``: each after those whose files it reads.
    """
    reached = set(folders)
    for job in jobs:
        if not reached.isdisjoint(dirname(file) for file in job.files):
            reached.add(job.folder)
    return reached

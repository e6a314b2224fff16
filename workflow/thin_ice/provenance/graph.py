"""The graph of a study's jobs: what a job rests on, and what follows from it."""

from collections.abc import Collection, Iterable, Sequence
from posixpath import dirname

from thin_ice.provenance.planned import PlannedJob


def with_ancestors(jobs: Sequence[PlannedJob], folders: Collection[str]) -> set[str]:
    """The folders, and those of every job whose files they are made from, at any depth."""
    wanted = set(folders)
    for job in reversed(jobs):
        if job.folder in wanted:
            wanted |= {dirname(file) for file in job.files}
    return wanted


def with_followers(jobs: Iterable[PlannedJob], folders: Collection[str]) -> set[str]:
    """The folders, and those of every job that reads their files, at any depth."""
    reached = set(folders)
    for job in jobs:
        if not reached.isdisjoint(dirname(file) for file in job.files):
            reached.add(job.folder)
    return reached


def to_run_again(
    jobs: Sequence[PlannedJob],
    outdated: Collection[str],
    forced: Collection[str] = (),
    targets: Collection[str] = (),
    until: Collection[str] = (),
    omitted: Collection[str] = (),
) -> set[str]:
    """The folders of the jobs that a run has to repeat.

    Args:
        jobs: each after those whose files it reads.
        outdated: folders that are out of date, with all that follow from them.
        forced: folders that a person wants made again whatever their state.
        targets, until: folders that the run ends at; all where there are none.
        omitted: folders that are left out, with all that follow from them.
    """
    again = with_followers(jobs, {*outdated, *forced})
    for ends in (targets, until):
        if ends:
            again &= with_ancestors(jobs, ends)
    return again - with_followers(jobs, omitted) if omitted else again


def folders_named(jobs: Iterable[PlannedJob], root: str, names: Iterable[str]) -> set[str]:
    """The folders of the jobs that these names mean: stages, or files below ``root``."""
    jobs, names = list(jobs), {name.removeprefix("./") for name in names}
    below = {dirname(name.removeprefix(f"{root}/")) for name in names if name.startswith(root)}
    return {job.folder for job in jobs if job.stage in names or job.folder in below}

"""What runs again is decided by the records beside the results.

Snakemake's own reasons are set aside: file times change in every copy and clone, its metadata is
lost with .snakemake and can be falsified by --touch, and neither sees an edit in a module. So
every input is `ancient`, and jobs that their records show to be out of date are forced, with all
that follow from them. `python -m thin_ice explain` says why. A job whose files are missing runs as
ever, and so does what -R or -F asks for.
"""

from functools import cache
from pathlib import Path

from snakemake.settings.types import RerunTrigger

from thin_ice.provenance.explain import summary
from thin_ice.provenance.graph import with_followers
from thin_ice.provenance.outdated import outdated
from thin_ice.study.jobs import planned_jobs


def records_if_again(folder):
    """Input function of the jobs that write into ``folder``: what ties one that runs again to
    those before it, the records of its inputs. Nothing for a job that is up to date."""
    return lambda wildcards: _again().get(folder.format(**dict(wildcards.items())), [])


@cache
def _again():
    """The jobs to run, by their folder: to the records of the jobs that they read from.

    Settled when the first input function is called: Snakemake reads the Snakefile before it knows
    its own options, and asks for inputs before it decides what to run. The processes that it
    starts for single jobs have nothing to decide.
    """
    if not workflow.is_main_process:
        return {}
    jobs = planned_jobs(STUDY)
    found = outdated(Path(STUDY_FOLDER), jobs)
    if found:
        logger.info(f"{summary(found, jobs)} (python -m thin_ice explain says why)")
    again = with_followers(jobs, {*found, *_asked_for(jobs)})
    _force(f"{STUDY_FOLDER}/{folder}/provenance.json" for folder in again)
    return {
        job.folder: sorted(
            {f"{STUDY_FOLDER}/{Path(file).parent}/provenance.json" for file in job.files}
        )
        for job in jobs
        if job.folder in again
    }


def _asked_for(jobs):
    """Folders of the jobs that -R names, by their rule or by one of their files."""
    rules = {rule.name for rule in workflow.dag.forcerules}
    folders = {f"{Path(file).parent}" for file in workflow.dag.forcefiles}
    return [
        job.folder
        for job in jobs
        if job.stage in rules or f"{STUDY_FOLDER}/{job.folder}" in folders
    ]


def _force(records):
    """Have Snakemake, which is building its graph, run the jobs of these records and no others."""
    workflow.dag.forcefiles.update(records)
    if workflow.dag_settings.rerun_triggers == RerunTrigger.all():  # unless a person chose
        workflow.dag_settings.rerun_triggers = frozenset()

"""What runs again is decided by the records beside the results.

Snakemake's own reasons are set aside: file times change in every copy and clone, its metadata is
lost with .snakemake and can be falsified by --touch, and neither sees an edit in a module. Inputs
are therefore `ancient` in every rule, and the jobs that the records show to be out of date, with
all that follow from them, are forced. `python -m thin_ice explain` says why. A job whose files
are missing still runs, and so does one that -R or -F asks for.
"""

from pathlib import Path

from snakemake.settings.types import RerunTrigger

from thin_ice.provenance.explain import summary
from thin_ice.provenance.graph import folders_named, to_run_again
from thin_ice.provenance.outdated import outdated
from thin_ice.study.jobs import planned_jobs


def force_what_is_out_of_date(settings):
    """Add to the files that Snakemake is to make again; only jobs that the targets need."""
    jobs = planned_jobs(STUDY)

    def named(names):
        return folders_named(jobs, STUDY_FOLDER, names)

    found = outdated(Path(STUDY_FOLDER), jobs)
    again = to_run_again(
        jobs,
        found,
        forced=named(settings.forcerun),
        targets=named(settings.targets),
        until=named(settings.until),
        omitted=named(settings.omit_from),
    )
    settings.forcerun = {
        *settings.forcerun,
        *(f"{STUDY_FOLDER}/{folder}/provenance.json" for folder in again),
    }
    if settings.rerun_triggers == RerunTrigger.all():
        settings.rerun_triggers = frozenset()
    if found:
        logger.info(f"{summary(found, jobs)}; `python -m thin_ice explain` says why")


# Jobs that Snakemake starts read the Snakefile too, and have been decided upon by then.
if workflow.is_main_process and workflow.dag_settings:
    force_what_is_out_of_date(workflow.dag_settings)

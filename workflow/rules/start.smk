"""Around the jobs of a run, never in a dry run: one run at a time, one GPU a job, jobs that start at
once. A person who starts it with --no-hooks does without.
"""

from thin_ice.commands.warm_start import Hearth
from thin_ice.gpus import NUMBER
from thin_ice.one_run import RunLock
from thin_ice.provenance.record import now

HELD = []  # what this run holds until its end


def begin():
    """Called once, by the process that a person started."""
    try:
        HELD.append(RunLock(STUDY_FOLDER, now()))
    except ThinIceError as error:
        raise WorkflowError(str(error)) from None
    _share_gpus()
    _start_jobs_as_cores_are_free()
    _import_torch_once()


def end():
    """Called once the last job has ended, well or not."""
    while HELD:
        HELD.pop().release()


def _share_gpus():
    """Have the jobs of this machine claim a GPU each, if it was said how many there are."""
    limit = workflow.global_resources.get("gpu")
    if not workflow.local_exec:
        os.environ.pop(NUMBER, None)  # a cluster deals out its own
    elif limit is not None and limit.value:
        os.environ[NUMBER] = str(limit.value)


def _start_jobs_as_cores_are_free():
    """Lift the limit on how many jobs start in a second, unless a person chose one.

    With a limit Snakemake's scheduler (9.27) starts a timer each time it looks for jobs, and looks
    again when that timer ends: every job that finishes adds a round of timers for good. After 250
    jobs it looks 250 times a second at every job that is ready, on a core that jobs need.
    """
    limit = workflow.scheduler.job_rate_limiter
    if limit and (limit.max_jobs, limit.timespan) == (100, 1):  # Snakemake's default
        workflow.scheduler.job_rate_limiter = None


def _import_torch_once():
    """Have the jobs of this machine, which all run in one environment, begin as forks of a process
    that has imported torch.
    """
    here = workflow.local_exec and not SOFTWARE and sys.platform == "linux"
    if here and STUDY.resources["warm_start"]:
        HELD.append(Hearth(min(STUDY.resources["threads"], workflow.cores)))

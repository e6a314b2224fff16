"""Where a job that may be killed keeps its state."""

from thin_ice.checkpoint import Checkpoint
from thin_ice.commands.job import Job


def checkpoint_of(job: Job) -> Checkpoint:
    """The job's checkpoint; one that another job left there is not taken."""
    return Checkpoint(job.state, job.identity)

"""Train a network that is sparse, or becomes so, while it is trained, from initialisation."""

from pathlib import Path

from thin_ice.commands.job import Job
from thin_ice.commands.pruning import from_scratch
from thin_ice.device import prepare

PREPARE = prepare
INPUTS = ("dataset",)


def run(job: Job) -> list[Path]:
    return from_scratch(job)

"""Find a mask for a network before it is trained, and write what it leaves of the network: its
weights as initialised, or as the method wants them.
"""

from pathlib import Path

from thin_ice.commands.job import Job
from thin_ice.commands.pruning import from_scratch
from thin_ice.device import prepare

PREPARE = prepare
INPUTS = ("dataset",)


def run(job: Job) -> list[Path]:
    return from_scratch(job)

"""Save the resolved study beside its results."""

from pathlib import Path

import yaml

from thin_ice.commands.job import Job
from thin_ice.files import write_text

PREPARE = None
INPUTS = ()


def run(job: Job) -> list[Path]:
    path = job.folder / "study.yaml"
    write_text(path, yaml.safe_dump(job.parameters["study"]))
    return [path]

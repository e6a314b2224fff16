"""Read a dataset, split train into train and validation, and save it for the stages that follow."""

from pathlib import Path

from thin_ice import tables
from thin_ice.commands.job import Job
from thin_ice.data import artifact
from thin_ice.data.partition import partition

PREPARE = None
INPUTS = ()


def run(job: Job) -> list[Path]:
    wanted = job.parameters
    reader = tables.load("datasets", wanted["kind"])(**wanted["options"])
    raw = reader.read()
    parts = partition(
        raw,
        wanted["validation"],
        wanted["partition_seed"],
        wanted["limit_train"],
        wanted["limit_test"],
    )
    path = job.folder / "dataset.safetensors"
    artifact.save(path, parts)
    job.facts["dataset"] = parts.name
    job.sources.update(reader.sources())
    return [path]

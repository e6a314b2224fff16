"""Read a dataset, split train into train and validation, and save it for the stages that follow."""

from dataclasses import replace
from pathlib import Path

from thin_ice import tables
from thin_ice.commands.job import Job
from thin_ice.data import artifact, extra
from thin_ice.data.partition import Partition, partition
from thin_ice.data.raw import RawDataset

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
    artifact.save(path, _with_extra(job, raw, parts))
    job.facts["dataset"] = parts.name
    job.sources.update(reader.sources())
    return [path]


def _with_extra(job: Job, raw: RawDataset, parts: Partition) -> Partition:
    """The parts with the images that the study adds for training, if any."""
    if (given := job.parameters["extra"]) is None:
        return parts
    path, judged = Path(given), {"validation": parts.validation, "test": parts.test}
    more = extra.without_leaks(extra.read(path, extra.fitting(raw)), judged)
    job.facts["extra_images"] = len(more)
    job.sources.update(extra.sources(path))
    return replace(parts, extra=more)

"""Distances of every test sample to a dense network's decision boundary."""

from pathlib import Path

from thin_ice.commands.job import Job
from thin_ice.commands.subject import load_subject
from thin_ice.commands.tables import write_parquet
from thin_ice.device import prepare
from thin_ice.margins.distance import FmnRun, distance_table

PREPARE = prepare
INPUTS = ("dataset", "model")


def run(job: Job) -> list[Path]:
    loaded, test = load_subject(job)
    runs = [FmnRun(**wanted) for wanted in job.parameters["distances"]]
    path = job.folder / "distances.parquet"
    write_parquet(path, distance_table(loaded.model, test, runs))
    return [path]

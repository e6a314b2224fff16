"""Distances of every test sample to a dense network's decision boundary."""

from pathlib import Path

from thin_ice.commands.job import Job
from thin_ice.commands.tables import write_parquet
from thin_ice.data.split import load_part
from thin_ice.device import prepare
from thin_ice.margins.distance import FmnRun, distance_table
from thin_ice.models.artifact import load_model

PREPARE = prepare
INPUTS = ("dataset", "model")


def run(job: Job) -> list[Path]:
    test = load_part(job.input("dataset"), "test", job.device)
    model = load_model(job.input("model"), job.device).model
    runs = [FmnRun(**wanted) for wanted in job.parameters["distances"]]
    path = job.folder / "distances.parquet"
    write_parquet(path, distance_table(model, test, runs))
    return [path]

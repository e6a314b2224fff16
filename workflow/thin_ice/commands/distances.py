"""Distances of every test sample to a network's decision boundary."""

from pathlib import Path

from thin_ice.attacks.fast import fast
from thin_ice.commands.job import Job
from thin_ice.commands.subject import load_subject
from thin_ice.commands.tables import write_parquet
from thin_ice.device import prepare
from thin_ice.margins.distance import Member, distance_table
from thin_ice.speed import Speed

PREPARE = prepare
INPUTS = ("dataset", "model")


def run(job: Job) -> list[Path]:
    loaded, test = load_subject(job)
    members = [Member.of(wanted) for wanted in job.parameters["distances"]]
    view = fast(loaded.model, Speed(**job.parameters["speed"]))
    table, seconds = distance_table(view, test, members)
    job.facts["distances"] = {"seconds_per_sample": seconds}
    path = job.folder / "distances.parquet"
    write_parquet(path, table)
    return [path]

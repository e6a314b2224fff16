"""The eps at which AutoAttack first breaks each test sample."""

from pathlib import Path

import torch

from thin_ice.commands.autoattack import cascade_of
from thin_ice.commands.job import Job
from thin_ice.commands.resume import checkpoint_of
from thin_ice.commands.rows import read_rows
from thin_ice.commands.subject import load_subject
from thin_ice.commands.tables import write_parquet
from thin_ice.data.split import Split
from thin_ice.device import prepare
from thin_ice.evaluation.breaking import Known, breaking_table

PREPARE = prepare
INPUTS = ("dataset", "model", "samples", "distances")


def run(job: Job) -> list[Path]:
    cascade, shard_size = cascade_of(job), job.parameters["autoattack"]["shard_size"]
    loaded, test = load_subject(job)
    known, rounds = _known(job, test, cascade.threat.norm), job.parameters["breaking"]["rounds"]
    table, facts = breaking_table(
        loaded.model, test, known, cascade, shard_size, rounds, checkpoint_of(job)
    )
    job.facts["breaking"] = facts
    path = job.folder / "breaking.parquet"
    write_parquet(path, table)
    return [path]


def _known(job: Job, test: Split, norm: str) -> Known:
    """What the network's evaluation and its distances say."""
    name = f"distance_{norm.lower()}"
    samples = read_rows(job.input("samples"), test, "correct", "robust")
    distances = read_rows(job.input("distances"), test, name)
    columns = (samples.correct, samples.robust, distances[name])
    correct, robust, distance = (torch.from_numpy(one.to_numpy(copy=True)) for one in columns)
    return Known(correct, robust, distance.double())

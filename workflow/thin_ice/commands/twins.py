"""The correct test samples on the thinnest ice, with their nearest adversarial twins."""

from pathlib import Path

import torch

from thin_ice.commands.job import Job
from thin_ice.commands.rows import read_rows
from thin_ice.commands.subject import load_subject
from thin_ice.commands.tables import write_parquet
from thin_ice.data import artifact
from thin_ice.data.split import Split
from thin_ice.device import prepare
from thin_ice.margins.distance import Member
from thin_ice.margins.twins import find_twins, thinnest, write_twins

PREPARE = prepare
INPUTS = ("dataset", "model", "distances")


def run(job: Job) -> list[Path]:
    wanted = job.parameters
    loaded, test = load_subject(job)
    column = f"distance_{wanted['norm'].lower()}"
    distances = read_rows(job.input("distances"), test, "correct", column)
    places = torch.from_numpy(thinnest(distances, wanted["norm"], wanted["twins"]))
    places = places.to(test.labels.device)
    chosen = Split(test.images[places], test.labels[places], test.ids[places])
    members = [Member.of(one) for one in wanted["distances"]]
    found = find_twins(loaded.model, chosen, members, _classes(job))
    job.facts["twins"] = {"sought": len(chosen), "found": len(found.table)}
    outputs = [job.folder / "twins.safetensors", job.folder / "twins.parquet"]
    write_twins(outputs[0], found)
    write_parquet(outputs[1], found.table)
    return outputs


def _classes(job: Job) -> tuple[str, ...]:
    with artifact.opened(job.input("dataset"), "pt") as (header, _file):
        return header.classes

"""How far the change from a dense network to one made from it should move each sample's margin."""

from pathlib import Path

from thin_ice.commands.job import Job
from thin_ice.commands.subject import load_subjects
from thin_ice.commands.tables import write_parquet
from thin_ice.device import prepare
from thin_ice.errors import ThinIceError
from thin_ice.margins.sensitivity import sensitivity_table

PREPARE = prepare
INPUTS = ("dataset", "dense", "model")


def run(job: Job) -> list[Path]:
    (dense, other), test = load_subjects(job, ("dense", "model"))
    if other.architecture != dense.architecture:
        raise ThinIceError(
            f"the network {job.input('model')} is {other.architecture.to_json()}; allowed: "
            f"{dense.architecture.to_json()}, as {job.input('dense')}"
        )
    path = job.folder / "sensitivity.parquet"
    write_parquet(path, sensitivity_table(dense.model, other.model, test))
    return [path]

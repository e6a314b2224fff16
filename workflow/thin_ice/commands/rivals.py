"""What else than distance may tell, on a dense network, which samples pruning loses."""

from pathlib import Path

from thin_ice.attacks.threat import ThreatModel
from thin_ice.commands.job import Job
from thin_ice.commands.subject import load_subject
from thin_ice.commands.tables import write_parquet
from thin_ice.device import prepare
from thin_ice.margins.rivals import Probe, rival_table

PREPARE = prepare
INPUTS = ("dataset", "model")


def run(job: Job) -> list[Path]:
    wanted = job.parameters
    loaded, test = load_subject(job)
    threat, probe = ThreatModel(**wanted["threat"]), Probe(**wanted["rivals"])
    path = job.folder / "rivals.parquet"
    write_parquet(path, rival_table(loaded.model, test, threat, probe))
    return [path]

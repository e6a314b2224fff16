"""What can be proved of one network: which test samples no perturbation within a ball can flip."""

from pathlib import Path

from thin_ice.commands.job import Job
from thin_ice.commands.subject import load_subject
from thin_ice.commands.tables import write_parquet
from thin_ice.device import prepare
from thin_ice.evaluation.certified import Certification, certified_table, summary
from thin_ice.files import write_json

PREPARE = prepare
INPUTS = ("dataset", "model")


def run(job: Job) -> list[Path]:
    wanted = Certification.of(job.parameters["norm"], job.parameters["certification"])
    loaded, test = load_subject(job)
    table, seconds = certified_table(loaded.model, test, wanted)
    job.facts["certification"] = {"seconds_per_sample": seconds}
    outputs = [job.folder / "certified.parquet", job.folder / "certified.json"]
    write_parquet(outputs[0], table)
    write_json(outputs[1], summary(table, wanted))
    return outputs

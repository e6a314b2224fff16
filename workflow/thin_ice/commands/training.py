"""What the three training stages share: from a job's parameters to the library's objects."""

import csv
import io
from pathlib import Path

from thin_ice import tables
from thin_ice.attacks.threat import ThreatModel
from thin_ice.commands.job import Job
from thin_ice.data.split import Dataset, load_dataset
from thin_ice.files import write_text
from thin_ice.training.fit import Setting
from thin_ice.training.plan import Plan
from thin_ice.training.state import Row

COLUMNS = ("epoch", "lr", "loss", "train_accuracy", "validation_clean", "validation_robust")


def dataset_of(job: Job) -> Dataset:
    return load_dataset(job.input("dataset"), job.device)


def setting_of(job: Job, dataset: Dataset, stage: str | None = None) -> Setting:
    """The setting of a stage, by default the job's own; its random streams are named by seed,
    stage and variant.
    """
    wanted, stage = job.parameters, stage or job.description["stage"]
    objective = wanted["objective"]
    stream = (wanted["seed"], stage, wanted["variant"])
    return Setting(
        train=dataset.train,
        validation=dataset.validation,
        objective=tables.load("objectives", objective["kind"])(**objective["options"]),
        threat=ThreatModel(**wanted["threat"]),
        plan=Plan(**wanted["plan"]),
        stream=stream,
    )


def about(job: Job, dataset: Dataset) -> dict[str, str]:
    """Notes for whoever opens the model file."""
    return {
        "dataset": dataset.name,
        "stage": job.description["stage"],
        "variant": job.parameters["variant"],
        "seed": str(job.parameters["seed"]),
    }


def write_history(path: Path, history: list[Row]) -> None:
    """One row an epoch; empty cells where an epoch was not validated."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    write_text(path, text.getvalue())

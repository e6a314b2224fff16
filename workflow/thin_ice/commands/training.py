"""What the stages that train share: from a job's parameters to the library's objects."""

import csv
import io
from pathlib import Path

from torch import nn

from thin_ice import tables
from thin_ice.attacks.fast import Views
from thin_ice.attacks.threat import ThreatModel
from thin_ice.commands.job import Job
from thin_ice.data.split import Dataset, load_dataset
from thin_ice.files import write_text
from thin_ice.models.artifact import load_model
from thin_ice.models.network import Architecture
from thin_ice.randomness import seed_from
from thin_ice.speed import Speed
from thin_ice.training.hooks import Row
from thin_ice.training.plan import Plan
from thin_ice.training.setting import Setting

COLUMNS = (
    *("epoch", "lr", "loss", "train_accuracy", "validation_clean", "validation_robust"),
    "validation_single_step",  # of objectives that train against one step alone
    "eligible",  # 1: the epoch might have been chosen
)


def dataset_of(job: Job) -> Dataset:
    plan = Plan(**job.parameters["plan"])
    return load_dataset(job.input("dataset"), job.device, plan.extra > 0 and plan.epochs > 0)


def setting_of(job: Job, dataset: Dataset, stage: str | None = None) -> Setting:
    """The setting of a stage, by default the job's own; its random streams are named by seed,
    stage and variant.
    """
    wanted, stage = job.parameters, stage or job.description["stage"]
    objective = tables.load("objectives", wanted["objective"]["kind"])
    stream = (wanted["seed"], stage, wanted["variant"])
    return Setting(
        train=dataset.train,
        validation=dataset.validation,
        extra=dataset.extra,
        objective=objective(**wanted["objective"]["options"]),
        threat=ThreatModel(**wanted["threat"]),
        plan=Plan(**wanted["plan"]),
        stream=stream,
        teacher=_teacher(job) if objective.teacher else None,
        views=Views(Speed(**wanted["speed"])),
    )


def untrained(job: Job, dataset: Dataset) -> tuple[nn.Module, Architecture]:
    """A network as initialised, on the job's device: the same for every stage that begins with one,
    whatever the variant.
    """
    wanted = job.parameters["model"]
    architecture = Architecture(
        wanted["kind"],
        wanted["options"],
        dataset.input_shape,
        len(dataset.classes),
        wanted["normalize"],
    )
    model = architecture.build(seed_from(job.parameters["seed"], "initialisation"))
    if wanted["normalize"]:
        model.set_statistics(*dataset.mean_std())
    return model.to(job.device), architecture


def _teacher(job: Job) -> nn.Module:
    """The dense network, frozen: ``teacher``, or while it is pruned what the stage begins with."""
    files = job.inputs.get("teacher") or job.inputs["model"]
    return load_model(files[0], job.device).model.requires_grad_(False)


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

"""Train a dense network robustly, from initialisation."""

from pathlib import Path

from thin_ice.commands.job import Job
from thin_ice.commands.resume import checkpoint_of
from thin_ice.commands.training import about, dataset_of, setting_of, write_history
from thin_ice.device import prepare
from thin_ice.models.artifact import save_model
from thin_ice.models.network import Architecture
from thin_ice.randomness import seed_from
from thin_ice.training.fit import fit
from thin_ice.training.hooks import Hooks

PREPARE = prepare
INPUTS = ("dataset",)


def run(job: Job) -> list[Path]:
    dataset, wanted = dataset_of(job), job.parameters["model"]
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
    model = model.to(job.device)
    history = fit(model, setting_of(job, dataset), Hooks(), checkpoint_of(job))
    outputs = [job.folder / "model.safetensors", job.folder / "history.csv"]
    save_model(outputs[0], model, architecture, about=about(job, dataset))
    write_history(outputs[1], history)
    return outputs

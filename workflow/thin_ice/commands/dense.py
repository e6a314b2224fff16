"""Train a dense network robustly, from initialisation."""

from pathlib import Path

from thin_ice.commands.job import Job
from thin_ice.commands.resume import checkpoint_of
from thin_ice.commands.training import about, dataset_of, setting_of, untrained, write_history
from thin_ice.device import prepare
from thin_ice.models.artifact import save_model
from thin_ice.training.fit import fit
from thin_ice.training.hooks import Hooks

PREPARE = prepare
INPUTS = ("dataset",)


def run(job: Job) -> list[Path]:
    dataset = dataset_of(job)
    model, architecture = untrained(job, dataset)
    history = fit(model, setting_of(job, dataset), Hooks(), checkpoint_of(job))
    outputs = [job.folder / "model.safetensors", job.folder / "history.csv"]
    save_model(outputs[0], model, architecture, about=about(job, dataset))
    write_history(outputs[1], history)
    return outputs

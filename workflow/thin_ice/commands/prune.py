"""Prune a dense network by one method to one sparsity."""

from pathlib import Path

from thin_ice import tables
from thin_ice.commands.job import Job
from thin_ice.commands.resume import checkpoint_of
from thin_ice.commands.training import about, dataset_of, setting_of, write_history
from thin_ice.device import prepare
from thin_ice.models.artifact import load_model, save_model
from thin_ice.pruning.prune import prune

PREPARE = prepare
INPUTS = ("dataset", "model")


def run(job: Job) -> list[Path]:
    dataset, wanted = dataset_of(job), job.parameters["method"]
    dense = load_model(job.input("model"), job.device)
    method = tables.load("methods", wanted["kind"])(**wanted["options"])
    pruner = method.pruner(job.parameters["sparsity"], wanted["unit"])
    pruned = prune(dense.model, pruner, setting_of(job, dataset), checkpoint_of(job))
    outputs = [job.folder / "model.safetensors", job.folder / "history.csv"]
    save_model(outputs[0], dense.model, dense.architecture, pruned.masks, about(job, dataset))
    write_history(outputs[1], pruned.history)
    return outputs

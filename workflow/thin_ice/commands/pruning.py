"""What the stages share in which a method acts: on a trained network, or on one as initialised."""

from pathlib import Path

from torch import nn

from thin_ice import tables
from thin_ice.commands.job import Job
from thin_ice.commands.resume import checkpoint_of
from thin_ice.commands.training import about, dataset_of, setting_of, untrained, write_history
from thin_ice.data.split import Dataset
from thin_ice.models.artifact import save_model
from thin_ice.models.network import Architecture
from thin_ice.pruning.base import Pruner
from thin_ice.pruning.prune import prune


def from_scratch(job: Job) -> list[Path]:
    """Let the job's method act on a network as initialised, and write what comes of it."""
    dataset = dataset_of(job)
    model, architecture = untrained(job, dataset)
    return pruned_network(job, dataset, model, architecture, pretrained=False)


def pruned_network(
    job: Job, dataset: Dataset, model: nn.Module, architecture: Architecture, pretrained: bool
) -> list[Path]:
    """Let the job's method act on ``model``; write the network and its history."""
    setting, checkpoint = setting_of(job, dataset), checkpoint_of(job)
    pruned = prune(model, pruner_of(job), setting, checkpoint, pretrained)
    outputs = [job.folder / "model.safetensors", job.folder / "history.csv"]
    save_model(outputs[0], model, architecture, pruned.masks, about(job, dataset))
    write_history(outputs[1], pruned.history)
    return outputs


def pruner_of(job: Job) -> Pruner:
    """A fresh pruner of the job's method."""
    wanted = job.parameters["method"]
    method = tables.load("methods", wanted["kind"])(**wanted["options"])
    return method.pruner(job.parameters["sparsity"], wanted["unit"])

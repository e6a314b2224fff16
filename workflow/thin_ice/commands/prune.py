"""Prune a dense network by one method to one sparsity."""

from pathlib import Path

from thin_ice.commands.job import Job
from thin_ice.commands.pruning import pruned_network
from thin_ice.commands.training import dataset_of
from thin_ice.device import prepare
from thin_ice.models.artifact import load_model

PREPARE = prepare
INPUTS = ("dataset", "model")


def run(job: Job) -> list[Path]:
    dense = load_model(job.input("model"), job.device)
    return pruned_network(job, dataset_of(job), dense.model, dense.architecture, pretrained=True)

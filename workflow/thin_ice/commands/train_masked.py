"""Train what a mask leaves of a network, with the weights that the mask's stage left."""

from pathlib import Path

from thin_ice.commands.finetune import masked_training
from thin_ice.commands.job import Job
from thin_ice.device import prepare

PREPARE = prepare
INPUTS = ("dataset", "model")


def run(job: Job) -> list[Path]:
    return masked_training(job, pretrained=False)

"""Fine-tune a pruned network under its masks, with the objective that trained it."""

from pathlib import Path

from thin_ice.commands.job import Job
from thin_ice.commands.resume import checkpoint_of
from thin_ice.commands.training import about, dataset_of, setting_of, write_history
from thin_ice.device import prepare
from thin_ice.models.artifact import load_model, save_model
from thin_ice.pruning.finetune import finetune

PREPARE = prepare
INPUTS = ("dataset", "model")
OPTIONAL_INPUTS = ("teacher",)


def run(job: Job) -> list[Path]:
    return masked_training(job, pretrained=True)


def masked_training(job: Job, pretrained: bool) -> list[Path]:
    """Train the job's network under its masks, write it and its history."""
    dataset = dataset_of(job)
    pruned = load_model(job.input("model"), job.device)
    history = finetune(
        pruned.model,
        pruned.masks,
        setting_of(job, dataset),
        checkpoint_of(job),
        pretrained=pretrained,
    )
    outputs = [job.folder / "model.safetensors", job.folder / "history.csv"]
    save_model(outputs[0], pruned.model, pruned.architecture, pruned.masks, about(job, dataset))
    write_history(outputs[1], history)
    return outputs

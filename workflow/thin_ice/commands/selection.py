"""How much choosing the checkpoint on test would have gained: its training again, watched.

The one training job that looks at the test split. It replays the stage that chose a network's
checkpoint (fine-tuning, where pruning comes after training) with the same parameters and random
streams and measures the claimed protocol on test after every validated epoch; nothing that it
writes is read by a job that trains, chooses or attacks a network. The product's own checkpoint is
chosen on validation and made by the stage before.
"""

import logging
from pathlib import Path

import torch
from torch import Tensor, nn

from thin_ice.attacks.protocol import Protocol
from thin_ice.attacks.threat import ThreatModel
from thin_ice.commands.job import Job
from thin_ice.commands.pruning import pruner_of
from thin_ice.commands.resume import checkpoint_of
from thin_ice.commands.tables import write_csv, write_parquet
from thin_ice.commands.training import dataset_of, setting_of, untrained
from thin_ice.data.split import Dataset, load_part
from thin_ice.device import prepare
from thin_ice.evaluation.selection import OnTest, chosen_epoch, epochs_table, samples_table
from thin_ice.models.artifact import load_model
from thin_ice.pruning.delegating import Watched
from thin_ice.pruning.finetune import finetune
from thin_ice.pruning.prune import prune
from thin_ice.training.hooks import Hooks, Row
from thin_ice.training.setting import Setting
from thin_ice.training.validation import score

PREPARE = prepare
INPUTS = ("dataset", "model")
OPTIONAL_INPUTS = ("pruned", "teacher")  # pruned: where training under its masks is replayed

log = logging.getLogger("thin_ice")


class Watch(Hooks):
    """Measures on test after each validated epoch; what it found survives a kill."""

    def __init__(self, on_test: OnTest) -> None:
        self.on_test = on_test

    def after_validation(self, model: nn.Module, epoch: int, row: Row) -> None:
        self.on_test.measure(model, epoch)

    def state(self) -> dict[str, Tensor]:
        return self.on_test.state()

    def restore(self, state: dict[str, Tensor]) -> None:
        self.on_test.restore(state)


def run(job: Job) -> list[Path]:
    wanted, dataset = job.parameters, dataset_of(job)
    setting = setting_of(job, dataset, wanted["replays"])
    test = load_part(job.input("dataset"), "test", job.device)
    ((name, fields),) = wanted["protocol"].items()
    threat, stream = ThreatModel(**wanted["threat"]), (wanted["seed"], "selection", name)
    on_test = OnTest(test, threat, Protocol(**fields), stream)
    model, history = _replayed(job, dataset, setting, Watch(on_test))
    job.facts["replay"] = compared(model, load_model(job.input("model"), job.device).model)
    if not job.facts["replay"]["same_weights"]:
        log.warning("the replay's weights are not those of the network; the record says how far")
    scores = {int(row["epoch"]) - 1: score(row) for row in history}
    scores = {epoch: scores[epoch] for epoch in on_test.outcomes}
    chosen = chosen_epoch(scores, setting.plan.select)
    outputs = [job.folder / "selection.csv", job.folder / "samples.parquet"]
    write_csv(outputs[0], epochs_table(scores, on_test.outcomes, chosen))
    write_parquet(outputs[1], samples_table(test, on_test.outcomes, chosen))
    return outputs


def _replayed(
    job: Job, dataset: Dataset, setting: Setting, watch: Watch
) -> tuple[nn.Module, list[Row]]:
    """The stage once more with somebody watching: the network that comes of it, and its history."""
    if job.inputs["pruned"]:
        start = load_model(job.input("pruned"), job.device)
        pretrained = job.parameters["replays"] == "finetune"
        history = finetune(
            start.model, start.masks, setting, checkpoint_of(job), watch, pretrained=pretrained
        )
        return start.model, history
    model, _ = untrained(job, dataset)
    pruner = Watched(pruner_of(job), watch)
    return model, prune(model, pruner, setting, checkpoint_of(job), pretrained=False).history


def compared(replay: nn.Module, original: nn.Module) -> dict[str, bool | float]:
    """Whether two networks have the same weights and buffers, and how far they are apart. On
    another kind of machine than fine-tuning's the same draws may add up differently.
    """
    found, expected = replay.state_dict(), original.state_dict()
    apart = [(found[name].double() - expected[name].double()).abs().max() for name in expected]
    largest = float(torch.stack(apart).max())
    return {"same_weights": largest == 0, "largest_difference": largest}

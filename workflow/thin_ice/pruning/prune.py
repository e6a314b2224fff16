"""Every stage in which a method acts, on a trained network or from initialisation: its hooks around
the one loop, then the export to plain weights.
"""

import time
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from thin_ice import interruption
from thin_ice.attacks.modes import in_mode
from thin_ice.checkpoint import Checkpoint
from thin_ice.errors import ThinIceError
from thin_ice.progress import Progress
from thin_ice.pruning.base import Pruner
from thin_ice.sparsity.masks import Masks
from thin_ice.sparsity.parametrizations import export
from thin_ice.training.fit import fit
from thin_ice.training.hooks import Row
from thin_ice.training.setting import Setting

PROBE_IMAGES = 64
SAVE_SECONDS = 60  # between two checkpoints of looks


class ExportChanged(ThinIceError):
    """The exported network does not compute what the pruner's own network computes."""


@dataclass(frozen=True)
class Pruned:
    """Masks by parameter name and the history of the stage (empty for one-shot methods)."""

    masks: Masks
    history: list[Row]


def prune(
    model: nn.Module,
    pruner: Pruner,
    setting: Setting,
    checkpoint: Checkpoint,
    pretrained: bool = True,
) -> Pruned:
    """Prune ``model`` in place: afterwards it is a plain network with zeros where pruned.

    ``pretrained``: it was trained before; otherwise it is as initialised.

    Raises:
        ExportChanged: the plain network's logits differ from the pruner's own.
    """
    setting = replace(setting, pretrained=pretrained)
    _look(model, pruner, setting, checkpoint)
    pruner.attach(model, setting)
    history = fit(model, setting, pruner, checkpoint) if setting.plan.epochs else []
    masks = pruner.finish(model)
    probe = setting.validation.head(PROBE_IMAGES).floats()
    own = _logits(model, probe)
    export(model)
    model.requires_grad_(True)
    _check_export(model, masks, own, _logits(model, probe))
    return Pruned(masks, history)


def _look(model: nn.Module, pruner: Pruner, setting: Setting, checkpoint: Checkpoint) -> None:
    """Let the method look at data, from where a killed job came to; afterwards it knows all that
    it saw, also where training has begun already.
    """
    total = pruner.looks(setting)
    if not total:
        return
    groups, facts = checkpoint.load() or ({}, {"looks": 0})
    if facts.get("looks", total):
        pruner.restore({k: v.to(setting.device) for k, v in groups.get("hooks", {}).items()})
    progress, saved = Progress("look", total, facts.get("looks", total)), time.monotonic()
    with in_mode(model, "eval"), interruption.deferred():
        for number in range(progress.done, total):
            pruner.look(model, setting, number)
            progress.advance({})
            error = interruption.asked()
            if error or time.monotonic() - saved > SAVE_SECONDS:
                checkpoint.save({"hooks": pruner.state()}, {"looks": number + 1})
                saved = time.monotonic()
            if error:
                raise error
    progress.close()


@torch.no_grad()
def _logits(model: nn.Module, images: Tensor) -> Tensor:
    with in_mode(model, "eval"):
        return model(images)


def _check_export(model: nn.Module, masks: Masks, own: Tensor, exported: Tensor) -> None:
    """The same numbers in the same order must give the same logits, to the last bit."""
    if not torch.equal(own, exported):
        worst = (own - exported).abs().max().item()
        raise ExportChanged(f"the exported network's logits differ by up to {worst:.3g}")
    weights = dict(model.named_parameters())
    leaks = [name for name, mask in masks.items() if weights[name][~mask].any()]
    if leaks:
        raise ExportChanged(f"pruned weights are not zero after the export: {', '.join(leaks)}")

"""Training under masks that no longer move: fine-tuning, and training of what a mask leaves."""

from dataclasses import replace

from torch import nn

from thin_ice.checkpoint import Checkpoint
from thin_ice.sparsity.masks import Masks
from thin_ice.sparsity.parametrizations import export, fix_masks
from thin_ice.training.fit import fit
from thin_ice.training.hooks import Hooks, Row
from thin_ice.training.setting import Setting


def finetune(
    model: nn.Module,
    masks: Masks,
    setting: Setting,
    checkpoint: Checkpoint,
    hooks: Hooks | None = None,
    pretrained: bool = True,
) -> list[Row]:
    """Train ``model`` in place with its pruned weights held at zero; return the history.

    ``hooks``: of whoever watches. Between epochs they see the masks as parametrizations.
    ``pretrained``: its weights were trained before they were pruned.
    """
    fix_masks(model, masks)
    history = fit(model, replace(setting, pretrained=pretrained), hooks or Hooks(), checkpoint)
    export(model)
    return history

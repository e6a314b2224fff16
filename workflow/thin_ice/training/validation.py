"""Clean and robust accuracy on the validation split, on which checkpoints are chosen."""

import torch
from torch import Tensor, nn

from thin_ice.attacks.modes import in_mode
from thin_ice.sparsity.parametrizations import weights_computed_once
from thin_ice.training.setting import Setting

BATCH = 500


def validate(model: nn.Module, setting: Setting) -> dict[str, float]:
    """Shares of the validation split classified correctly: clean, and under the objective's own
    adversary.

    ``validation_robust`` is absent where the objective has no adversary. The adversary draws the
    same noise at every call, so that epochs compare.
    """
    objective, split = setting.objective, setting.validation
    step = setting.step("validation", progress=1.0)
    clean = robust = 0
    with in_mode(model, "eval"), weights_computed_once(model):
        for images, labels in split.batches(BATCH):
            clean += _correct(model, images, labels)
            if objective.robust:
                attacked = objective.perturb(model, images, labels, step)
                robust += _correct(model, attacked, labels)
    accuracies = {"validation_clean": float(clean) / len(split)}
    if objective.robust:
        accuracies["validation_robust"] = float(robust) / len(split)
    return accuracies


@torch.no_grad()
def _correct(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return (model(images).argmax(1) == labels).sum()


def score(accuracies: dict[str, float]) -> list[float]:
    """What decides between epochs: robust accuracy first where there is one, then clean."""
    names = ("validation_robust", "validation_clean")
    return [accuracies[name] for name in names if name in accuracies]

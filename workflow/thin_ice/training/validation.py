"""Clean and robust accuracy on the validation split, on which checkpoints are chosen."""

from torch import nn

from thin_ice.attacks.modes import in_mode
from thin_ice.objectives.base import correct
from thin_ice.objectives.single_step import SingleStep
from thin_ice.sparsity.parametrizations import weights_computed_once
from thin_ice.training.setting import Setting

BATCH = 500


def validate(model: nn.Module, setting: Setting) -> dict[str, float]:
    """Shares of the validation split: classified correctly, and robust in the objective's sense.

    ``validation_robust`` is absent where the goal is benign; ``validation_single_step``, the share
    that is right under the step that trains the network, is there for objectives alone that can
    overfit to it. Random numbers are the same at every call, so that epochs compare.
    """
    objective, split = setting.objective, setting.validation
    step = setting.step("validation", progress=1.0)
    trained = setting.step("validation", "single step", progress=1.0)
    against_one = isinstance(objective, SingleStep)
    clean = robust = single = 0
    with in_mode(model, "eval"), weights_computed_once(model):
        for images, labels in split.batches(BATCH):
            clean += correct(model, images, labels).sum()
            if objective.goal != "benign":
                robust += objective.withstands(model, images, labels, step).sum()
            if against_one:
                single += objective.withstands_one_step(model, images, labels, trained).sum()
    accuracies = {"validation_clean": float(clean) / len(split)}
    if objective.goal != "benign":
        accuracies["validation_robust"] = float(robust) / len(split)
    if against_one:
        accuracies["validation_single_step"] = float(single) / len(split)
    return accuracies


def score(accuracies: dict[str, float]) -> list[float]:
    """What decides between epochs: robust accuracy first where there is one, then clean."""
    names = ("validation_robust", "validation_clean")
    return [accuracies[name] for name in names if name in accuracies]

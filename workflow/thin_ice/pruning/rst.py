"""RST, robust scratch tickets (Fu, Yu, Zhang et al., NeurIPS 2021): a robust network inside a
random one, found without training a weight.

Every weight of a prunable layer is +-sqrt(2 / fan_in), with the sign that it was initialised with,
and stands still, as do biases (0) and the factors and offsets of batch norm (1 and 0). Each weight
has a score; the network computes with those whose |score| is among the largest of its layer, and
the mask's gradient passes straight through to |score| (edge-popup, Ramanujan et al., CVPR 2020).
Scores are trained adversarially, with the objective of the run. The ticket is the network that is
evaluated: the stage `train_masked` trains nothing.
Published: 160 epochs, batches of 256, rate 0.1, PGD-7 at 8/255. The rate's schedule and the
initial scores are not in what we have; here cosine, and uniform as torch initialises weights.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import parametrize

from thin_ice.pruning.base import Pruner
from thin_ice.pruning.scores import random_scores
from thin_ice.sparsity.masks import Masks, kept_count
from thin_ice.sparsity.parametrizations import TopKScore
from thin_ice.sparsity.prunable import prunable_modules
from thin_ice.training.setting import Setting


@dataclass(frozen=True)
class Rst:
    """Learned scores over random weights that stand still, with a uniform budget per layer."""

    layers: Literal["all", "convolutions"] = "all"  # which layers may be pruned

    pipeline: ClassVar[str] = "before"
    criterion: ClassVar[str] = "learned scores over random weights, which stay as they are"
    paper: ClassVar[str] = "Fu et al., NeurIPS 2021"
    units: ClassVar[tuple[str, ...]] = ("weight",)
    claimed: ClassVar[str] = "rst_pgd7"
    mask_plan: ClassVar[dict] = {"epochs": 160, "batch_size": 256, "lr": 0.1}
    train_masked_plan: ClassVar[dict] = {"epochs": 0}

    def pruner(self, sparsity: float, unit: str = "weight") -> Pruner:
        return RstPruner(self, sparsity)


def signed_constant(weight: Tensor) -> Tensor:
    """+-sqrt(2 / fan_in) with the weight's signs, the fan-in counted as torch does."""
    constant = math.sqrt(2 / weight[0].numel())
    return torch.where(weight < 0, -constant, constant).to(weight.dtype)


class RstPruner(Pruner):
    """Trains scores alone."""

    def __init__(self, options: Rst, sparsity: float) -> None:
        self.options, self.sparsity = options, sparsity

    def attach(self, model: nn.Module, setting: Setting) -> None:
        model.requires_grad_(False)
        for module in model.modules():
            _stand_still(module)
        for name, module in prunable_modules(model, self.options.layers).items():
            keep = kept_count(module.weight.numel(), self.sparsity)
            scores = random_scores(module.weight, *setting.stream, "scores", name)
            parametrize.register_parametrization(module, "weight", TopKScore(scores, keep))

    def finish(self, model: nn.Module) -> Masks:
        modules = prunable_modules(model, self.options.layers)
        return {name: m.parametrizations.weight[0].mask() for name, m in modules.items()}


@torch.no_grad()
def _stand_still(module: nn.Module) -> None:
    """What a module that has weights computes with from now on."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        module.weight.copy_(signed_constant(module.weight))
    if isinstance(module, _BatchNorm) and module.affine:
        module.weight.fill_(1)
    if isinstance(module, nn.Conv2d | nn.Linear | _BatchNorm) and module.bias is not None:
        module.bias.zero_()

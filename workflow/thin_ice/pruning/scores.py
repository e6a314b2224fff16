"""What methods that learn importance scores share: HYDRA and HARP."""

import math

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

TINY = 1e-12  # a layer of zeros has scores of zero, not NaN


def scaled_scores(weight: Tensor) -> Tensor:
    """sqrt(6 / fan_in) * w / max|w|, the fan-in counted as torch does (in channels x kernel)."""
    fan_in = weight[0].numel()
    return math.sqrt(6 / fan_in) * weight / weight.abs().max().clamp_min(TINY)


def freeze_all_but_norms(model: nn.Module) -> None:
    """While scores are learned, weights and biases stand still; batch norm trains on."""
    model.requires_grad_(False)
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.requires_grad_(True)

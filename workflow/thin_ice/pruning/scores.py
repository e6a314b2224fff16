"""What methods that learn importance scores share: HYDRA, HARP and RST."""

import math

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from thin_ice.randomness import generator

TINY = 1e-12  # a layer of zeros has scores of zero, not NaN


def scaled_scores(weight: Tensor) -> Tensor:
    """sqrt(6 / fan_in) * w / max|w|, the fan-in counted as torch does (in channels x kernel)."""
    fan_in = weight[0].numel()
    return math.sqrt(6 / fan_in) * weight / weight.abs().max().clamp_min(TINY)


def random_scores(weight: Tensor, *stream: str | int) -> Tensor:
    """Kaiming uniform with a = sqrt(5), torch's default for weights: U(+-1/sqrt(fan_in)); its
    random numbers have the names ``stream``.
    """
    bound = 1 / math.sqrt(weight[0].numel())
    draws = generator(weight.device, *stream)
    return torch.empty_like(weight).uniform_(-bound, bound, generator=draws)


def freeze_all_but_norms(model: nn.Module) -> None:
    """While scores are learned, weights and biases stand still; batch norm trains on."""
    model.requires_grad_(False)
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.requires_grad_(True)

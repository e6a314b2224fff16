"""Masks whose sizes are learned: scores with a trainable keep rate (Zhao & Wressnegger 2023).

A *part* of a network, the weights of a layer or the channels of a group, has scores s and a
keep rate k = least + (1 - least) sigmoid(kappa). Its mask keeps the share k of the largest |s|.
Backwards the mask's gradient passes straight through to |s|, and its sum to k.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from thin_ice.sparsity.channels import COLUMNS, Side
from thin_ice.sparsity.masks import first_ranks

CLIPPED = 0.99  # the largest sigmoid that an initial rate is written as; 1 would need an infinity


def keep_rate(kappa: Tensor, least: float) -> Tensor:
    """Rates between ``least`` and 1, of the shape of ``kappa``."""
    return least + (1 - least) * torch.sigmoid(kappa)


def kappa_of(rate: float, least: float) -> float:
    """The kappa whose keep rate is ``rate``, at most that of a sigmoid of 0.99.

    Raises:
        ValueError: the rate is not above the least one.
    """
    if not least < rate <= 1:
        raise ValueError(f"a keep rate of {rate:g}; allowed: above {least:g}, up to 1")
    share = min((rate - least) / (1 - least), CLIPPED)
    return math.log(share / (1 - share))


class _Kept(torch.autograd.Function):
    """The mask of the ``keep`` largest magnitudes, a function of the rate backwards only."""

    @staticmethod
    def forward(ctx: Any, magnitude: Tensor, rate: Tensor, keep: Tensor) -> Tensor:
        return first_ranks(magnitude, keep).to(magnitude.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        return gradient, gradient.sum(), None


class LearnedRate(nn.Module):
    """Scores of one part and its keep rate, both trainable; yields the part's mask as floats.

    Args:
        scores: float, any shape, one a weight or a channel.
        rate: the keep rate to begin with.
        least: below which the rate cannot fall; more than 0, so that something always stays.
    """

    def __init__(self, scores: Tensor, rate: float, least: float) -> None:
        super().__init__()
        self.scores = nn.Parameter(scores)
        self.kappa = nn.Parameter(scores.new_tensor(kappa_of(rate, least)))
        self.least = least

    def rate(self) -> Tensor:
        """The keep rate, 0-dim."""
        return keep_rate(self.kappa, self.least)

    def forward(self) -> Tensor:
        rate = self.rate()
        return _Kept.apply(self.scores.abs(), rate, self.count(rate.detach()))

    def count(self, rate: Tensor) -> Tensor:
        """How many a rate keeps, counted as HYDRA counts: size - floor((1 - k) size). 0-dim, on
        the device.
        """
        size = self.scores.numel()
        return size - ((1 - rate) * size).floor()


class WeightMask(nn.Module):
    """``w * mask``: a weight whose every entry has a score."""

    def __init__(self, learned: LearnedRate) -> None:
        super().__init__()
        self.learned = learned

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.learned()


class ColumnMask(nn.Module):
    """``w * mask`` with a score a channel that the layer reads; the layers that read the same
    channels share one `LearnedRate`.
    """

    def __init__(self, learned: LearnedRate, side: Side) -> None:
        super().__init__()
        self.learned = learned
        self.register_buffer("index", side.index.to(learned.scores.device), persistent=False)

    def forward(self, weight: Tensor) -> Tensor:
        mask = self.learned()[:, None].expand(self.index.shape)
        columns = mask.new_ones(weight.shape[COLUMNS])
        columns = columns.index_copy(0, self.index.flatten(), mask.flatten())
        return weight * columns.view(1, -1, *[1] * (weight.dim() - 2))

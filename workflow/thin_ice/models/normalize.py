"""Normalisation as the first layer of the model.

Attacks and bounds must see images in [0, 1], or their budget is in the wrong unit: normalising in
the data pipeline is the field's commonest mistake.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Normalized(nn.Module):
    """``network((images - mean) / std)``, per channel, for images (N, C, H, W) in [0, 1].

    ``mean`` and ``std`` are buffers of shape (C, 1, 1) in the unit of the images. They are in the
    state dict, so an artifact holds the statistics that its weights were trained with.

    Raises:
        ValueError: mean and std differ in length, or a std is not positive.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if len(mean) != len(std):
            raise ValueError(f"{len(mean)} means but {len(std)} stds, each channel has one")
        if not all(value > 0 for value in std):
            raise ValueError(f"std is {list(std)}, every value must be positive")
        self.register_buffer("mean", _per_channel(mean))
        self.register_buffer("std", _per_channel(std))
        self.network = network

    def set_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Normalise by these per-channel statistics, each of shape (C,), from now on."""
        self.mean.copy_(mean.view(-1, 1, 1))
        self.std.copy_(std.view(-1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return self.network((images - self.mean) / self.std)


def _per_channel(values: Sequence[float]) -> Tensor:
    return torch.tensor(list(values), dtype=torch.float32).view(-1, 1, 1)

"""Real images as splits, without a dataset's file: for tests and benchmarks."""

import torch

from thin_ice.data.digits import Digits
from thin_ice.data.partition import Partition, partition
from thin_ice.data.split import Split


def splits_of(parts: Partition, device: str = "cpu") -> dict[str, Split]:
    """Train, validation and test, by name, on the device."""
    named = {"train": parts.train, "validation": parts.validation, "test": parts.test}
    return {
        name: Split(*(torch.from_numpy(a).to(device) for a in (one.images, one.labels, one.ids)))
        for name, one in named.items()
    }


def digits(validation: float = 0.15) -> dict[str, Split]:
    """The digits; by default with the default study's share of validation."""
    return splits_of(partition(Digits().read(), validation, seed=0))

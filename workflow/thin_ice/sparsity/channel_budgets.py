"""How many channels of each group stay: the budget of structured pruning."""

from typing import Literal

import torch
from torch import Tensor

from thin_ice.sparsity.masks import Masks, global_masks, layerwise_masks


def kept_channels(
    scores: dict[str, Tensor], sparsity: float, allocation: Literal["layer", "global"]
) -> Masks:
    """Which channels stay, bool (size,) by group, from their scores, float (size,).

    ``layer``: every group keeps the same share of its largest scores. ``global``: one threshold
    over all groups, but each keeps its largest, for without it nothing would pass; where there are
    more groups than channels to keep, these alone stay.
    """
    if allocation == "layer":
        return layerwise_masks(scores, sparsity)
    first = {
        name: score.scatter(0, score.argmax(0, keepdim=True), torch.inf)
        for name, score in scores.items()
    }
    channels = sum(score.numel() for score in scores.values())
    return global_masks(first, min(sparsity, 1 - len(scores) / channels))

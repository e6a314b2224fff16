"""Masks as pure functions of scores: which weights stay.

A mask is a bool tensor, True where the weight is kept. Ties go to the lowest index, so that a
budget is met exactly and a mask does not depend on a sorting routine.
"""

import math

import torch
from torch import Tensor

Masks = dict[str, Tensor]


def kept_count(size: int, sparsity: float) -> int:
    """Number of weights kept out of ``size``: ``size - floor(sparsity * size)``, as HYDRA counts.

    The product is rounded at 1e-9 first: 0.29 * 100 is 28.999999999999996 in binary.
    """
    return size - math.floor(round(sparsity * size, 9))


def top_k_mask(scores: Tensor, keep: int) -> Tensor:
    """Mask of the ``keep`` largest scores, any shape; ties go to the lowest flat index.

    No value is read on the host, so this costs no synchronisation inside a training step.
    """
    if keep <= 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    flat = scores.flatten()
    threshold = flat.kthvalue(flat.numel() - keep + 1).values
    above, tied = flat > threshold, flat == threshold
    missing = keep - above.sum()
    return (above | (tied & (tied.cumsum(0) <= missing))).view(scores.shape)


def first_ranks(scores: Tensor, keep: Tensor) -> Tensor:
    """`top_k_mask` for a count that lives on the device, 0-dim: by rank, without synchronising."""
    flat = scores.flatten()
    order = flat.argsort(descending=True, stable=True)
    chosen = torch.arange(flat.numel(), device=flat.device) < keep
    return torch.zeros_like(chosen).scatter(0, order, chosen).view(scores.shape)


def row_mask(scores: Tensor, keep: int) -> Tensor:
    """Mask of ``keep`` weights of a matrix, the largest scores of each row, as many in every row;
    of a rest that does not go round, the first rows have one more.
    """
    order = scores.argsort(dim=1, descending=True, stable=True)
    ranks = order.argsort(dim=1)
    return top_k_mask(-ranks.float(), keep)


def layerwise_masks(scores: Masks, sparsity: float) -> Masks:
    """Uniform allocation: every layer keeps the same share of its largest scores."""
    return {
        name: top_k_mask(score, kept_count(score.numel(), sparsity))
        for name, score in scores.items()
    }


def column_masks(weights: Masks, sparsity: float) -> Masks:
    """Uniform allocation by columns: of every layer's (out x in kh kw) matrix the same share of
    columns stays, those of the largest l2 norm.
    """
    return {name: _column_mask(weight, sparsity) for name, weight in weights.items()}


def _column_mask(weight: Tensor, sparsity: float) -> Tensor:
    norms = weight.flatten(1).norm(dim=0)
    columns = top_k_mask(norms, kept_count(norms.numel(), sparsity))
    return columns.view(1, *weight.shape[1:]).repeat(len(weight), *[1] * (weight.ndim - 1))


def global_masks(scores: Masks, sparsity: float) -> Masks:
    """Global allocation: one threshold over the scores of all layers together."""
    flat = torch.cat([score.flatten() for score in scores.values()])
    mask = top_k_mask(flat, kept_count(flat.numel(), sparsity))
    parts = mask.split([score.numel() for score in scores.values()])
    return {
        name: part.view(score.shape)
        for (name, score), part in zip(scores.items(), parts, strict=True)
    }


ALLOCATIONS = {"layer": layerwise_masks, "global": global_masks}

"""How a weight carries its mask, as ``torch.nn.utils.parametrize`` parametrizations.

The network's code never mentions masks: ``module.weight`` is the masked weight, in every forward
pass, and `export` turns it into a plain parameter with zeros. Where whole channels are pruned,
biases and the parameters of batch norms carry masks too.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from thin_ice.sparsity.masks import Masks, top_k_mask


class FixedMask(nn.Module):
    """``w * mask`` with a constant mask; masked weights get no gradient."""

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.mask


class _StraightThrough(torch.autograd.Function):
    """Top-k mask forwards, identity backwards (Ramanujan et al. 2020, as HYDRA uses it)."""

    @staticmethod
    def forward(ctx: Any, magnitude: Tensor, keep: int) -> Tensor:
        return top_k_mask(magnitude, keep).to(magnitude.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


class TopKScore(nn.Module):
    """``w * topk(|s|)`` with trainable scores s; the mask's gradient passes to |s| unchanged."""

    def __init__(self, scores: Tensor, keep: int) -> None:
        super().__init__()
        self.scores = nn.Parameter(scores)
        self.keep = keep

    def forward(self, weight: Tensor) -> Tensor:
        return weight * _StraightThrough.apply(self.scores.abs(), self.keep)

    def mask(self) -> Tensor:
        """The mask in use, bool."""
        return top_k_mask(self.scores.detach().abs(), self.keep)


def fix_masks(model: nn.Module, masks: Masks) -> None:
    """Zero what is masked and hold it at zero: each named parameter gets a `FixedMask`, after
    whatever it is parametrized by already.

    Raises:
        KeyError: a mask names no parameter of the model.
    """
    parameters = dict(model.named_parameters())
    for name, mask in masks.items():
        module, own = holder(model, name)
        if not parametrize.is_parametrized(module, own):
            with torch.no_grad():
                parameters[name].mul_(mask)
        parametrize.register_parametrization(module, own, FixedMask(mask))


def holder(model: nn.Module, name: str) -> tuple[nn.Module, str]:
    """The module of a parameter, plain or parametrized, and the parameter's name in it.

    Raises:
        KeyError: there is no such module.
    """
    module, _, own = name.rpartition(".")
    return dict(model.named_modules())[module], own


def carrier(model: nn.Module, name: str) -> nn.Module:
    """The last parametrization of a parameter: where it carries a mask, that which holds it."""
    module, own = holder(model, name)
    return module.parametrizations[own][-1]


def put_masks(model: nn.Module, masks: Masks) -> None:
    """Masks on parameters that carry some already, in their place."""
    for name, mask in masks.items():
        carrier(model, name).mask.copy_(mask)


def parametrized_modules(model: nn.Module) -> list[nn.Module]:
    """The modules of which some parameter carries a parametrization."""
    return [module for module in model.modules() if parametrize.is_parametrized(module)]


@contextmanager
def weights_computed_once(model: nn.Module) -> Iterator[None]:
    """Within the context each parametrized weight is computed once, not once a forward pass.

    They are computed on entry, with gradients: were the first use an attack under ``no_grad``,
    the cache would hold a weight without its graph and the scores would silently get no gradient.
    """
    with parametrize.cached():
        for module in parametrized_modules(model):
            for name in module.parametrizations:
                getattr(module, name)
        yield


def discard(model: nn.Module) -> None:
    """Take every parametrization away: the plain parameters are again as they were under them."""
    for module in parametrized_modules(model):
        for name in list(module.parametrizations):
            parametrize.remove_parametrizations(module, name, leave_parametrized=False)


def export(model: nn.Module) -> None:
    """Replace every parametrization by the plain parameter it yields, zeros where masked."""
    for module in parametrized_modules(model):
        for name in list(module.parametrizations):
            parametrize.remove_parametrizations(module, name, leave_parametrized=True)

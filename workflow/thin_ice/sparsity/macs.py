"""Multiply-accumulates of a network's forward pass, with and without those by zero."""

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from thin_ice.sparsity.prunable import KINDS


@dataclass(frozen=True)
class MultiplyAccumulates:
    """Of one image, in convolutions and linear layers: all, and those whose weight is not zero.
    Biases, norms and activations are not counted, nor is what a border of zeros would save.
    """

    all: int
    nonzero: int


def multiply_accumulates(
    model: nn.Module, input_shape: tuple[int, int, int]
) -> MultiplyAccumulates:
    """Each weight is used once at every place of its layer's output.

    Args:
        model: plain; left as it is.
        input_shape: channels, height, width.
    """
    layers = {name: module.weight for name, module in _layers(model)}
    uses = _places(model, input_shape)
    return MultiplyAccumulates(
        all=sum(uses[name] * weight.numel() for name, weight in layers.items()),
        nonzero=sum(uses[name] * int(w.count_nonzero()) for name, w in layers.items()),
    )


def multiplications(model: nn.Module, input_shape: tuple[int, int, int]) -> dict[str, int]:
    """Those of each convolution and linear layer for one image, by the layer's name."""
    places = _places(model, input_shape)
    return {name: places[name] * module.weight.numel() for name, module in _layers(model)}


def _layers(model: nn.Module) -> list[tuple[str, nn.Module]]:
    return [(name, m) for name, m in model.named_modules() if isinstance(m, KINDS["all"])]


def _places(model: nn.Module, input_shape: tuple[int, int, int]) -> dict[str, int]:
    """By module, the places of its output for one image: height x width, or 1 without them."""
    shapes_only, places = deepcopy(model).to("meta").eval(), {}
    for name, module in _layers(shapes_only):

        def note(module: nn.Module, _inputs: tuple, output: Tensor, name: str = name) -> None:
            places[name] = output.numel() // module.weight.shape[0]

        module.register_forward_hook(note)
    with torch.no_grad():
        shapes_only(torch.empty(1, *input_shape, device="meta"))
    return places

"""What the layers of a network see of a batch, whatever the architecture."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


def with_hidden(model: nn.Module, images: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Logits (N, classes), and the hidden activations in the order of the forward pass.

    The activations, each (N, features) with its gradient, are what convolutions and linear layers
    read: a tensor that several of them read counts once, and the images, which the first layer
    reads (normalised or not), are not hidden.
    """
    with _reading(model) as read:
        logits = model(images)
    return logits, [one.flatten(1) for one in read[1:]]


@contextmanager
def _reading(model: nn.Module) -> Iterator[list[Tensor]]:
    """Within the context, the inputs of convolutions and linear layers are noted."""
    read: list[Tensor] = []

    def note(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if not any(inputs[0] is one for one in read):
            read.append(inputs[0])

    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    handles = [layer.register_forward_pre_hook(note) for layer in layers]
    try:
        yield read
    finally:
        for handle in handles:
            handle.remove()

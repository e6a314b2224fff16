"""The state a network is in while it is attacked, and how it is put back afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import nn

Mode = Literal["eval", "train"]


@contextmanager
def in_mode(model: nn.Module, mode: Mode) -> Iterator[None]:
    """Put the whole model in evaluation or training mode, then back as it was."""
    before = [(module, module.training) for module in model.modules()]
    model.train(mode == "train")
    try:
        yield
    finally:
        for module, training in before:
            module.training = training


@contextmanager
def under_attack(model: nn.Module, mode: Mode = "eval") -> Iterator[None]:
    """A finished network as an attack may see it: parameters frozen, buffers kept.

    Freezing spares the weight gradients that attacks calling ``backward()`` would compute; in
    training mode batch norm's running statistics move and are restored at the end.
    """
    flags = [(p, p.requires_grad) for p in model.parameters()]
    buffers = [(b, b.clone()) for b in model.buffers()]
    model.requires_grad_(False)
    try:
        with in_mode(model, mode):
            yield
    finally:
        for parameter, flag in flags:
            parameter.requires_grad_(flag)
        with torch.no_grad():
            for buffer, value in buffers:
                buffer.copy_(value)


@contextmanager
def buffers_put_back(model: nn.Module) -> Iterator[None]:
    """Let running statistics move within the context only. They move in copies, so that a graph
    which was made of them can still be followed back afterwards.
    """
    before = [(m, name, b) for m in model.modules() for name, b in m.named_buffers(recurse=False)]
    for module, name, buffer in before:
        setattr(module, name, buffer.clone())
    try:
        yield
    finally:
        for module, name, buffer in before:
            setattr(module, name, buffer)

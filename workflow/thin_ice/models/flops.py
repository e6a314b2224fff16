"""How large a network is as a piece of work, counted without weights or memory."""

from dataclasses import dataclass
from functools import cache

import torch
from torch.utils.flop_counter import FlopCounterMode

from thin_ice.models.network import Architecture


@dataclass(frozen=True)
class Size:
    """``flops`` of one image's forward pass, a multiplication and an addition counting as two;
    ``layers`` without parts of their own, about as many as there are kernels to launch.
    """

    flops: int
    layers: int


def size(architecture: Architecture) -> Size:
    """Of the network as it is attacked, in evaluation mode.

    Raises:
        ValueError: unknown kind or options, or an input shape that the network cannot take.
    """
    return _size(architecture.to_json())


@cache
def _size(text: str) -> Size:
    architecture = Architecture.from_json(text)
    network = architecture.build_empty().eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.empty(1, *architecture.input_shape, device="meta"))
    leaves = [module for module in network.modules() if not list(module.children())]
    return Size(counter.get_total_flops(), len(leaves))

"""Back to the beginning: what the methods have in common that find a mask for a network as it was
initialised (Frankle and Carbin 2019).
"""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from thin_ice.sparsity.parametrizations import holder


def initial_state(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers of a plain network, by name, to come back to."""
    return {name: value.clone() for name, value in model.state_dict().items()}


@torch.no_grad()
def rewind(model: nn.Module, initial: dict[str, Tensor]) -> None:
    """Give every parameter and buffer the value that it had, under the masks that it now has."""
    for name, value in initial.items():
        module, own = holder(model, name)
        masked = parametrize.is_parametrized(module, own)
        (module.parametrizations[own].original if masked else getattr(module, own)).copy_(value)

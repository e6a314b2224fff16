"""Which weights may be pruned: those of convolutions and linear layers, never biases or norms."""

from typing import Literal

from torch import nn

Layers = Literal["all", "convolutions"]

KINDS: dict[str, tuple[type[nn.Module], ...]] = {
    "all": (nn.Conv2d, nn.Linear),
    "convolutions": (nn.Conv2d,),
}


def prunable_modules(model: nn.Module, layers: Layers = "all") -> dict[str, nn.Module]:
    """Parameter name of each prunable weight (``layer1.0.conv1.weight``) and its module, in
    definition order.

    ``convolutions`` leaves linear layers dense, as R-ADMM's released configuration does.
    """
    return {
        f"{name}.weight": module
        for name, module in model.named_modules()
        if isinstance(module, KINDS[layers])
    }


def prunable_weights(model: nn.Module, layers: Layers = "all") -> dict[str, nn.Parameter]:
    """The prunable weights themselves, by parameter name."""
    return {name: module.weight for name, module in prunable_modules(model, layers).items()}

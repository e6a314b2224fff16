"""K-FAC: the Fisher matrix of a layer as a Kronecker product (Martens and Grosse 2015; of
convolutions: Grosse and Martens 2016).

A layer computes s = W a for every sample and, a convolution, at each of its T positions, where a
is the patch of inputs (with a 1 appended where there is a bias). With g = d(loss of a sample)/ds
the Fisher block of W, written row by row, is approximately G (x) A, where

    A = mean over samples of sum over positions of a a^T       (inputs [+ 1], inputs [+ 1])
    G = mean over samples and positions of g g^T               (outputs, outputs)

It is exact for one sample and one position. Labels are the true ones (the empirical Fisher).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from thin_ice.errors import ThinIceError


class NoFactors(ThinIceError):
    """A layer whose Fisher matrix has no Kronecker factors here."""


@dataclass(frozen=True)
class Pass:
    """What went through each layer in a forward pass, by the layer's name: its inputs, without
    their graph, and its outputs, with theirs.
    """

    inputs: dict[str, Tensor] = field(default_factory=dict)
    outputs: dict[str, Tensor] = field(default_factory=dict)

    def hook(self, name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
        """A forward hook for the layer of this name."""

        def record(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            self.inputs[name], self.outputs[name] = inputs[0].detach(), output
            return output.clone()  # what follows may change it in place

        return record


@contextmanager
def recording(modules: dict[str, nn.Module]) -> Iterator[Pass]:
    """Record the forward pass that is made within the context."""
    seen = Pass()
    hooks = [module.register_forward_hook(seen.hook(name)) for name, module in modules.items()]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def input_rows(module: nn.Module, inputs: Tensor) -> Tensor:
    """What a row of the weight matrix is multiplied with, (samples, positions, inputs [+ 1]).

    Raises:
        NoFactors: a convolution in groups, or padded with anything but a number of zeros.
    """
    if isinstance(module, nn.Conv2d):
        rows = _patches(module, inputs)
    else:
        rows = inputs.reshape(len(inputs), -1, inputs.shape[-1])
    return rows if module.bias is None else F.pad(rows, (0, 1), value=1.0)


def _patches(module: nn.Conv2d, inputs: Tensor) -> Tensor:
    if module.groups != 1:
        raise NoFactors(f"K-FAC of a convolution with groups = {module.groups}; allowed: 1")
    if isinstance(module.padding, str) or module.padding_mode != "zeros":
        padding = f"{module.padding!r}, padding_mode = {module.padding_mode!r}"
        raise NoFactors(
            f"K-FAC of a convolution with padding = {padding}; allowed: zeros, a number"
        )
    unfolded = F.unfold(inputs, module.kernel_size, module.dilation, module.padding, module.stride)
    return unfolded.transpose(1, 2)


def output_rows(module: nn.Module, gradients: Tensor) -> Tensor:
    """Gradients with respect to a layer's outputs as (samples, positions, outputs)."""
    if isinstance(module, nn.Conv2d):
        return gradients.flatten(2).transpose(1, 2)
    return gradients.reshape(len(gradients), -1, gradients.shape[-1])


def factors(rows: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor]:
    """A and G of a layer from what `input_rows` and `output_rows` give."""
    samples, positions, _ = gradients.shape
    rows, gradients = rows.flatten(0, 1), gradients.flatten(0, 1)
    return rows.T @ rows / samples, gradients.T @ gradients / (samples * positions)


def layer_factors(
    modules: dict[str, nn.Module], seen: Pass, loss: Tensor
) -> dict[str, tuple[Tensor, Tensor]]:
    """A and G of every layer from a recorded pass and its loss, summed over the samples."""
    gradients = torch.autograd.grad(loss, [seen.outputs[name] for name in modules])
    return {
        name: factors(input_rows(module, seen.inputs[name]), output_rows(module, gradient))
        for (name, module), gradient in zip(modules.items(), gradients, strict=True)
    }

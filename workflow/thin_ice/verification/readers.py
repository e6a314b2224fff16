"""From a layer of torch to its operator, with the weights and statistics that it has now.

Weights are read as ``module.weight``, so that a parametrization's masked or scored weight is what
is bounded, and what gets the gradient. Batch norm in evaluation mode is affine by its running
statistics; in training mode by the statistics of the batch that it is given, which depend on the
weights (the bounds then hold for images that are normalised as that batch was).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from thin_ice.verification.linear import (
    Affine,
    AveragePool,
    Convolution,
    Dense,
    Flatten,
    Pair,
    Same,
)
from thin_ice.verification.nonlinear import MaxPool, Relu
from thin_ice.verification.operator import CannotBound, Operator

SUPPORTED = (
    "Conv2d, Linear, BatchNorm1d, BatchNorm2d, ReLU, AvgPool2d, AdaptiveAvgPool2d, MaxPool2d, "
    "Flatten, Identity, Dropout in evaluation mode, sums of two layers, arithmetic with constants"
)

Reader = Callable[[nn.Module, Tensor, torch.dtype], Operator]


def reader_of(module: nn.Module) -> Reader | None:
    """How to read a layer; None for what is no supported layer, or one whose own class computes
    something else than the layer that it derives from.
    """
    for kind, reader in READERS.items():
        if isinstance(module, kind) and type(module).forward is kind.forward:
            return reader
    return None


def _convolution(module: nn.Conv2d, values: Tensor, dtype: torch.dtype) -> Operator:
    if module.padding_mode != "zeros" or module.padding == "same":
        raise CannotBound(
            f"a convolution with padding {module.padding!r} in mode {module.padding_mode!r}; "
            "allowed are numbers in mode 'zeros'"
        )
    padding = (0, 0) if module.padding == "valid" else module.padding
    return Convolution(
        module.weight.to(dtype),
        _cast(module.bias, dtype),
        module.stride,
        padding,
        module.dilation,
        module.groups,
    )


def _dense(module: nn.Linear, values: Tensor, dtype: torch.dtype) -> Operator:
    if values.dim() != 2:
        raise CannotBound(
            f"a linear layer on values of shape {tuple(values.shape[1:])}; allowed are vectors"
        )
    return Dense(module.weight.to(dtype), _cast(module.bias, dtype))


def _batch_norm(module: _BatchNorm, values: Tensor, dtype: torch.dtype) -> Operator:
    mean, variance = _statistics(module, values.to(dtype))
    scale = (variance + module.eps).rsqrt()
    if module.weight is not None:
        scale = scale * module.weight.to(dtype)
    shift = -mean * scale
    if module.bias is not None:
        shift = shift + module.bias.to(dtype)
    per_channel = (-1, *[1] * (values.dim() - 2))
    return Affine(scale.view(per_channel), shift.view(per_channel))


def _statistics(module: _BatchNorm, values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of each channel."""
    if module.training:
        axes = [axis for axis in range(values.dim()) if axis != 1]
        variance, mean = torch.var_mean(values, axes, correction=0)
        return mean, variance
    if module.running_mean is None:
        raise CannotBound(
            "batch norm without running statistics depends on the whole batch; allowed are layers "
            "that track them"
        )
    return module.running_mean.to(values.dtype), module.running_var.to(values.dtype)


def _average_pool(module: nn.AvgPool2d, values: Tensor, dtype: torch.dtype) -> Operator:
    if module.divisor_override is not None:
        raise CannotBound(
            f"average pooling with divisor_override {module.divisor_override}; allowed is None"
        )
    kernel, stride, padding = (
        _pair(v) for v in (module.kernel_size, module.stride, module.padding)
    )
    rest = (module.ceil_mode, module.count_include_pad)

    def along(axis: int) -> Tensor:
        one_axis = ((kernel[axis], 1), (stride[axis], 1), (padding[axis], 0))
        pooled = F.avg_pool2d(_identity(values, axis, dtype), *one_axis, *rest)
        return pooled.flatten(1).T

    return AveragePool(along(0), along(1))


def _adaptive_average_pool(
    module: nn.AdaptiveAvgPool2d, values: Tensor, dtype: torch.dtype
) -> Operator:
    sizes = _pair(module.output_size)

    def along(axis: int) -> Tensor:
        size = values.shape[2 + axis] if sizes[axis] is None else sizes[axis]
        pooled = F.adaptive_avg_pool2d(_identity(values, axis, dtype), (size, 1))
        return pooled.flatten(1).T

    return AveragePool(along(0), along(1))


def _identity(values: Tensor, axis: int, dtype: torch.dtype) -> Tensor:
    """Pooling it along its height gives the transpose of the matrix that pooling this axis is."""
    size = values.shape[2 + axis]
    return torch.eye(size, dtype=dtype, device=values.device).view(size, 1, size, 1)


def _max_pool(module: nn.MaxPool2d, values: Tensor, dtype: torch.dtype) -> Operator:
    if module.ceil_mode or module.return_indices:
        raise CannotBound("max pooling with ceil_mode or return_indices; allowed is neither")
    options = (module.kernel_size, module.stride, module.padding, module.dilation)
    return MaxPool(*(_pair(option) for option in options))


def _flatten(module: nn.Flatten, values: Tensor, dtype: torch.dtype) -> Operator:
    if module.start_dim != 1 or module.end_dim not in (-1, values.dim() - 1):
        raise CannotBound(
            f"flattening axes {module.start_dim} to {module.end_dim}; allowed are all but the first"
        )
    return Flatten()


def _dropout(module: nn.Dropout | nn.Dropout2d, values: Tensor, dtype: torch.dtype) -> Operator:
    if module.training and module.p > 0:
        raise CannotBound(f"dropout of {module.p} in training mode; allowed is evaluation mode")
    return Same()


def _cast(tensor: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    return None if tensor is None else tensor.to(dtype)


def _pair(value: int | Pair) -> Pair:
    return value if isinstance(value, tuple) else (value, value)


READERS: dict[type[nn.Module], Reader] = {
    nn.Conv2d: _convolution,
    nn.Linear: _dense,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.ReLU: lambda module, values, dtype: Relu(),
    nn.AvgPool2d: _average_pool,
    nn.AdaptiveAvgPool2d: _adaptive_average_pool,
    nn.MaxPool2d: _max_pool,
    nn.Flatten: _flatten,
    nn.Identity: lambda module, values, dtype: Same(),
    nn.Dropout: _dropout,
    nn.Dropout2d: _dropout,
}

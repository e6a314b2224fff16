"""The model artifact: one safetensors file with everything needed to use the network.

    model.NAME    a tensor of the state dict, zero wherever its mask says pruned
    mask.NAME     bool tensor of the parameter's shape, True where the weight is kept
    metadata      format = thin-ice-model-1; architecture = JSON; about.KEY = free text

No pickle is written or read. Saving the same model twice gives the same bytes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from thin_ice.errors import ModelError
from thin_ice.models.network import Architecture
from thin_ice.tensors import write_tensors

FORMAT = "thin-ice-model-1"
MODEL, MASK, ABOUT = "model.", "mask.", "about."
V = TypeVar("V")


@dataclass(frozen=True)
class LoadedModel:
    """What a model artifact holds; without masks or notes the dictionaries are empty."""

    model: nn.Module  # in eval mode
    architecture: Architecture
    masks: dict[str, Tensor]  # parameter name: bool tensor, True where kept
    about: dict[str, str]


def save_model(
    path: str | Path,
    model: nn.Module,
    architecture: Architecture,
    masks: dict[str, Tensor] | None = None,
    about: dict[str, str] | None = None,
) -> None:
    """Write a model artifact, whole or not at all.

    Args:
        path: the file, replaced if there is one.
        model: an exported network, plain weights without parametrizations; left as it is.
        architecture: what builds it again.
        masks: bool tensor for each pruned parameter, True where the weight is kept.
        about: free text for people, such as the method that made it.

    Raises:
        ValueError: a weight is not zero where its mask is False, a mask is not a bool tensor of
            the shape of a parameter, or the model is not what the architecture builds.
    """
    masks, about = masks or {}, about or {}
    weights = {name: _plain(tensor) for name, tensor in model.state_dict().items()}
    fitted = _fit(architecture, weights, f"cannot save {path}")
    _require_masked(fitted, masks, f"cannot save {path}")
    tensors = _prefixed(MODEL, weights)
    tensors |= _prefixed(MASK, {name: _plain(mask) for name, mask in masks.items()})
    metadata = {"format": FORMAT, "architecture": architecture.to_json()} | _prefixed(ABOUT, about)
    write_tensors(path, save(tensors), metadata)


def load_model(path: str | Path, device: str | torch.device = "cpu") -> LoadedModel:
    """Read a model artifact; nothing in it is executed.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not a whole model artifact, its names or shapes are not those of
            its architecture, or a pruned weight is not zero.
    """
    tensors, metadata = _read(path)
    try:
        architecture = Architecture.from_json(metadata.get("architecture", ""))
        model = _fit(architecture, _stripped(MODEL, tensors), "its weights")
        masks = _stripped(MASK, tensors)
        _require_masked(model, masks, "its masks")
    except (TypeError, ValueError) as error:
        raise ModelError(f"{path} is not a usable {FORMAT} file: {error}") from error
    masks = {name: mask.to(device) for name, mask in masks.items()}
    return LoadedModel(model.to(device).eval(), architecture, masks, _stripped(ABOUT, metadata))


def _read(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    tensors, metadata = read_format(path, FORMAT, "a model artifact")
    if foreign := [name for name in tensors if not name.startswith((MODEL, MASK))]:
        raise ModelError(f"{path} holds {foreign}, allowed are names in {MODEL}* and {MASK}*")
    return tensors, metadata


def read_format(path: str | Path, form: str, what: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file of the format ``form``, said to be ``what``.

    Raises:
        FileNotFoundError: there is no such file.
        ModelError: it is no such file, or of another format.
    """
    expected = f"expected a safetensors file with format {form!r} in its metadata"
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            # A copy: the tensors must not change with the file that they are mapped from.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ModelError(f"{path} is not {what} ({error}); {expected}") from error
    if metadata.get("format") != form:
        raise ModelError(f"{path} has format {metadata.get('format')!r}; {expected}")
    return tensors, metadata


def _fit(architecture: Architecture, weights: dict[str, Tensor], what: str) -> nn.Module:
    """Build the network around the weights, every name and shape checked."""
    model = architecture.build_empty()
    try:
        model.load_state_dict(weights, strict=True, assign=True)
    except RuntimeError as error:
        raise ModelError(f"{what}: not what {architecture.to_json()} builds: {error}") from error
    return model


def _require_masked(model: nn.Module, masks: dict[str, Tensor], what: str) -> None:
    parameters = dict(model.named_parameters())
    for name, mask in masks.items():
        if name not in parameters:
            raise ModelError(f"{what}: mask for {name!r}, which is no parameter of the model")
        if fault := _mask_fault(parameters[name], mask.cpu()):
            raise ModelError(f"{what}: {name!r} {fault}")


def _mask_fault(weight: Tensor, mask: Tensor) -> str | None:
    if mask.dtype != torch.bool or mask.shape != weight.shape:
        allowed = f"torch.bool {tuple(weight.shape)}"
        return f"has a mask of {mask.dtype} {tuple(mask.shape)}, allowed is {allowed}"
    if pruned := int(weight[~mask].count_nonzero()):
        return f"has {pruned} weights that are not zero where its mask is False"
    return None


def _plain(tensor: Tensor) -> Tensor:
    """A contiguous copy on the CPU, sharing no storage."""
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)


def _prefixed(prefix: str, values: dict[str, V]) -> dict[str, V]:
    return {prefix + name: value for name, value in values.items()}


def _stripped(prefix: str, values: dict[str, V]) -> dict[str, V]:
    return {
        name.removeprefix(prefix): value
        for name, value in values.items()
        if name.startswith(prefix)
    }

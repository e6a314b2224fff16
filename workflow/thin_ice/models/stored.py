"""The stored network: as few bytes as its zeros and its missing channels allow.

    dense.NAME, or values.NAME with bits.NAME or gaps.NAME     see `thin_ice.models.encodings`
    metadata      format = thin-ice-stored-1; architecture = JSON; shapes = JSON of the tensors that
                  have no dense one; about.KEY = free text

A network without its dead channels has smaller tensors than its architecture builds; reading makes
each module as large as its tensors. No pickle is written or read, and the same network gives the
same bytes.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from thin_ice.errors import ModelError
from thin_ice.files import canonical_json
from thin_ice.models.artifact import ABOUT, LoadedModel, read_format
from thin_ice.models.encodings import DENSE, decode, encode
from thin_ice.models.network import Architecture
from thin_ice.tensors import with_metadata, write_tensors

FORMAT = "thin-ice-stored-1"
SIZED = (nn.Conv2d, nn.Linear, _BatchNorm)  # whose size follows from their weight's


def save_stored(
    path: str | Path,
    model: nn.Module,
    architecture: Architecture,
    about: dict[str, str] | None = None,
) -> None:
    """Write a stored network, whole or not at all.

    Args:
        path: the file, replaced if there is one.
        model: plain, as the architecture builds it or without some of its channels.
        architecture: what it was built as.
        about: free text for people.

    Raises:
        ModelError: the model is not of that architecture.
    """
    _build(architecture, model.state_dict(), f"cannot save {path}")
    write_tensors(path, *_contents(model, architecture, about or {}, sparse=True))


def stored_bytes(
    model: nn.Module,
    architecture: Architecture,
    sparse: bool,
    about: dict[str, str] | None = None,
) -> int:
    """Size of the file that holds a network, its zeros left out or (``sparse`` false) written."""
    header, tensors = with_metadata(*_contents(model, architecture, about or {}, sparse))
    return len(header) + len(tensors)


def load_stored(path: str | Path, device: str | torch.device = "cpu") -> LoadedModel:
    """Read a stored network, ready to compute with; it has no masks. Nothing in it is executed.

    Raises:
        FileNotFoundError: there is no such file.
        ModelError: the file is not a whole stored network.
    """
    tensors, metadata = read_format(path, FORMAT, "a stored network")
    try:
        architecture = Architecture.from_json(metadata.get("architecture", ""))
        shapes = json.loads(metadata.get("shapes", ""))
        weights = {name: _decoded(name, parts, shapes) for name, parts in _parts(tensors).items()}
        model = _build(architecture, weights, "its weights")
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        raise ModelError(f"{path} is not a usable {FORMAT} file: {error}") from error
    about = {k.removeprefix(ABOUT): v for k, v in metadata.items() if k.startswith(ABOUT)}
    return LoadedModel(model.to(device).eval(), architecture, {}, about)


def _contents(
    model: nn.Module, architecture: Architecture, about: dict[str, str], sparse: bool
) -> tuple[bytes, dict[str, str]]:
    """What the safetensors library writes of the network, and the metadata beside it."""
    tensors, shapes = {}, {}
    for name, tensor in model.state_dict().items():
        plain = tensor.detach().cpu().contiguous()
        parts = encode(plain) if sparse else {DENSE: plain}
        tensors |= {f"{kind}.{name}": part for kind, part in parts.items()}
        if DENSE not in parts:
            shapes[name] = list(tensor.shape)
    metadata = {
        "format": FORMAT,
        "architecture": architecture.to_json(),
        "shapes": canonical_json(shapes),
    }
    return save(tensors), metadata | {ABOUT + key: text for key, text in about.items()}


def _parts(tensors: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The parts of each tensor, by its name and their kinds."""
    parts: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        kind, _, name = key.partition(".")
        parts.setdefault(name, {})[kind] = tensor
    return parts


def _decoded(name: str, parts: dict[str, Tensor], shapes: dict[str, list[int]]) -> Tensor:
    if (DENSE in parts) == (name in shapes):
        raise ModelError(f"{name!r} has a dense tensor and a shape, or neither")
    try:
        return decode(parts, tuple(shapes.get(name, ())))
    except ModelError as error:
        raise ModelError(f"{name!r} {error}") from None


def _build(architecture: Architecture, weights: dict[str, Tensor], what: str) -> nn.Module:
    """The network around these weights, its modules as large as they are, tried on one image."""
    model = architecture.build_empty().eval()
    try:
        for name, module in model.named_modules():
            if isinstance(module, SIZED):
                _take_size(module, weights[f"{name}.weight"].shape)
        model.load_state_dict(weights, strict=True, assign=True)
        device = next(iter(weights.values())).device
        with torch.no_grad():
            logits = model(torch.zeros(1, *architecture.input_shape, device=device))
    except (KeyError, RuntimeError) as error:
        raise ModelError(f"{what}: not of {architecture.to_json()}: {error}") from error
    if logits.shape[1] != architecture.classes:
        raise ModelError(f"{what} give {logits.shape[1]} logits, allowed: {architecture.classes}")
    return model


def _take_size(module: nn.Module, shape: torch.Size) -> None:
    """Make a module without weights as large as a weight of this shape asks for."""
    if isinstance(module, nn.Conv2d):
        module.out_channels, module.in_channels = shape[0], shape[1] * module.groups
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = shape
    else:
        module.num_features = shape[0]
    for name, built in list(module.named_parameters(recurse=False)):
        own = shape[:2] + built.shape[2:] if built.dim() > 1 else shape[:1]
        setattr(module, name, nn.Parameter(built.new_empty(own)))
    for name, built in list(module.named_buffers(recurse=False)):
        if built.dim():
            setattr(module, name, built.new_empty(shape[:1]))

"""Networks from elsewhere: a state dict, whoever wrote it, fitted into one of our architectures.

A file is safetensors, or what `torch.save` made of a state dict; of the latter only tensors are
read (``weights_only``), so a pickled model is refused and nothing in a file is executed. Names
that differ are mapped by their beginnings. Whatever does not fit exactly is refused.
"""

import io
from collections.abc import Iterable, Mapping

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn

from thin_ice.errors import ModelError
from thin_ice.models.network import Architecture
from thin_ice.models.normalize import Normalized

Weights = dict[str, Tensor]
Statistics = tuple[list[float], list[float]]  # mean and std, a value a channel
LOGITS_TOLERANCE = 1e-4  # between a network as it came and ours with its weights
MANY = 3  # names in a message


def read_weights(contents: bytes, name: str, under: str | None = None) -> Weights:
    """The state dict in a checkpoint's bytes, on the CPU.

    Args:
        contents: of the file.
        name: of the file, for messages; ``.safetensors`` decides how it is read.
        under: the key of the state dict, where the file holds a dictionary of more.

    Raises:
        ValueError: not a state dict, or one that cannot be read without running code.
    """
    found = _read(contents, name)
    if under is not None:
        if not isinstance(found, Mapping) or under not in found:
            raise ModelError(f"{name} has no key {under!r}; allowed: {_keys(found)}")
        found = found[under]
    return _state_dict(found, f"{name}: {under}" if under else name)


def _read(contents: bytes, name: str) -> object:
    if name.endswith(".safetensors"):
        try:
            return load_safetensors(contents)
        except SafetensorError as error:
            raise ModelError(f"{name} is no readable safetensors file: {error}") from None
    try:
        return torch.load(io.BytesIO(contents), map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or foreign file makes the reader stumble on
        why = str(error).partition("\n")[0] or type(error).__name__
        raise ModelError(
            f"{name} cannot be read as tensors only (a whole pickled model is never loaded); "
            f"allowed: a state dict saved by torch.save, or a .safetensors file: {why:.120}"
        ) from None


def _state_dict(found: object, name: str) -> Weights:
    if isinstance(found, Mapping) and found and all(isinstance(v, Tensor) for v in found.values()):
        return {str(key): tensor.detach() for key, tensor in found.items()}
    raise ModelError(
        f"{name} holds {_keys(found)}; allowed: names of parameters with their tensors "
        "(say under: KEY where the state dict is one of several things)"
    )


def _keys(found: object) -> str:
    if isinstance(found, Mapping):
        return f"the keys {_some(map(str, found))}"
    return f"a {type(found).__name__}"


def renamed(weights: Weights, beginnings: Mapping[str, str]) -> Weights:
    """The same tensors under our names: the longest of ``beginnings`` that a name begins with is
    replaced by what it maps to; other names stay.

    Raises:
        ValueError: a beginning that no name has, or two names become one.
    """
    used: set[str] = set()
    found: Weights = {}
    for name, tensor in weights.items():
        old = max((b for b in beginnings if name.startswith(b)), key=len, default="")
        used.add(old)
        new = beginnings.get(old, "") + name.removeprefix(old)
        if new in found:
            raise ModelError(f"keys: two names of the checkpoint become {new!r}")
        found[new] = tensor
    if idle := sorted(set(beginnings) - used):
        raise ModelError(
            f"keys: no name of the checkpoint begins with {idle[0]!r}; its names are "
            f"{_some(weights)}"
        )
    return found


def fitted(
    architecture: Architecture,
    weights: Weights,
    name: str,
    statistics: Statistics | None = None,
) -> nn.Module:
    """One of our networks with these weights, on the CPU in evaluation mode.

    Args:
        architecture: what to build; ``normalize`` if there are statistics.
        weights: of the network without its normalisation.
        name: of the checkpoint, for messages.
        statistics: mean and standard deviation per channel that the network expects images to be
            normalised by, on the [0, 1] scale.

    Raises:
        ValueError: a missing or unexpected name, a wrong shape, or a tensor that is not finite.
    """
    model = architecture.build(0)
    network = model.network if isinstance(model, Normalized) else model
    if statistics is not None:
        _normalise(model, statistics, architecture.input_shape[0])
    _require_fit(network, weights, f"{name} does not fit {architecture.kind}")
    network.load_state_dict(weights, strict=True)
    for key, tensor in network.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise ModelError(f"{name}: {key!r} is not finite throughout")
    return model.eval()


def _normalise(model: Normalized, statistics: Statistics, channels: int) -> None:
    mean, std = statistics
    if not len(mean) == len(std) == channels or min(std) <= 0:
        raise ModelError(
            f"mean {mean} and std {std} must each have {channels} values, one a channel, "
            "and std positive ones"
        )
    model.set_statistics(torch.tensor(mean), torch.tensor(std))


def _require_fit(network: nn.Module, weights: Weights, what: str) -> None:
    """Every name and shape, said in one sentence; `load_state_dict` would take three lines."""
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    if missing := [name for name in expected if name not in weights]:
        raise ModelError(f"{what}: it lacks {_some(missing)}; its names are {_some(weights)}")
    if unexpected := [name for name in weights if name not in expected]:
        raise ModelError(f"{what}: it has {_some(unexpected)} besides, which no part of it bears")
    for name, shape in expected.items():
        if tuple(weights[name].shape) != shape:
            found = tuple(weights[name].shape)
            raise ModelError(f"{what}: {name!r} is of shape {found}, allowed is {shape}")


@torch.no_grad()
def require_logits(model: nn.Module, images: Tensor, classes: int, name: str) -> Tensor:
    """The logits of a few images, (N, classes); ``model`` is in evaluation mode.

    Raises:
        ValueError: logits of another shape, or NaN or infinite ones.
    """
    logits = model(images)
    if not isinstance(logits, Tensor) or tuple(logits.shape) != (len(images), classes):
        found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ModelError(f"{name} gives {found} for {len(images)} images, not {classes} logits")
    if not torch.isfinite(logits).all():
        raise ModelError(f"{name} gives logits that are NaN or infinite on images of this dataset")
    return logits


def require_same_logits(ours: Tensor, theirs: Tensor, name: str, kind: str) -> None:
    """Raises ValueError where a network computes something else than ours with its weights."""
    worst = (ours - theirs).abs().max().item()
    if not worst <= LOGITS_TOLERANCE:  # NaN is no agreement
        raise ModelError(
            f"{name} computes other logits than {kind} does with its weights (by up to "
            f"{worst:.3g}; allowed: {LOGITS_TOLERANCE:g}): it is another network, for which "
            "thin_ice.tables has no architecture, or it normalises images (say mean and std)"
        )


def _some(names: Iterable[str]) -> str:
    """The first few of many names."""
    names = list(names)
    more = f" and {len(names) - MANY} more" if len(names) > MANY else ""
    return ", ".join(map(repr, names[:MANY])) + more

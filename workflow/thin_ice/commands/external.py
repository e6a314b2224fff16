"""Take a network from elsewhere as a dense network: its weights in one of our architectures."""

import hashlib
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from thin_ice import outside
from thin_ice.commands.job import Job
from thin_ice.data.split import Dataset, load_dataset
from thin_ice.device import prepare
from thin_ice.errors import ModelError
from thin_ice.models.artifact import save_model
from thin_ice.models.external import (
    Statistics,
    Weights,
    fitted,
    read_weights,
    renamed,
    require_logits,
    require_same_logits,
)
from thin_ice.models.network import Architecture

PREPARE = prepare
INPUTS = ("dataset",)
PROBE_IMAGES = 16
AS_IT_CAME = "as it came"


def run(job: Job) -> list[Path]:
    model, checkpoint = job.parameters["model"], job.parameters["checkpoint"]
    dataset = load_dataset(job.input("dataset"))
    found = _found(checkpoint)
    architecture = Architecture(
        model["kind"],
        model["options"],
        dataset.input_shape,
        len(dataset.classes),
        normalize=checkpoint["mean"] is not None,
    )
    network = fitted(
        architecture,
        renamed(found.weights, checkpoint["keys"]),
        found.name,
        _statistics(checkpoint),
    )
    _check(network, found, dataset, model["kind"])
    output = job.folder / "model.safetensors"
    save_model(output, network, architecture, about=_about(dataset, found))
    job.sources[found.name] = found.path
    return [output]


@dataclass(frozen=True)
class Found:
    """What a study's ``checkpoint`` led to: its name in records, the file, the SHA-256 of the very
    bytes that were read, the weights, and of an entry point the module that it returned.
    """

    name: str
    path: Path
    sha256: str
    weights: Weights
    module: nn.Module | None = None


def _found(checkpoint: dict[str, Any]) -> Found:
    name, path = outside.source_name(checkpoint), outside.weights_file(checkpoint)
    contents = path.read_bytes()
    digest = _verified(contents, checkpoint["sha256"], name)
    if not checkpoint["entry_point"]:
        return Found(name, path, digest, read_weights(contents, name, checkpoint["under"]))
    came = _called(checkpoint["entry_point"], path)
    module = came if isinstance(came, nn.Module) else None
    return Found(name, path, digest, _weights(came), module)


def _statistics(checkpoint: dict[str, Any]) -> Statistics | None:
    """What the network expects images to be normalised by, where the study says so."""
    if checkpoint["mean"] is None:
        return None
    return checkpoint["mean"], checkpoint["std"]


def _verified(contents: bytes, expected: str | None, name: str) -> str:
    """The SHA-256 of the very bytes that are read."""
    found = hashlib.sha256(contents).hexdigest()
    if expected is not None and found != expected:
        raise ModelError(f"{name} has SHA-256 {found}, the study says {expected}; it was not used")
    return found


def _called(entry_point: str, path: Path) -> object:
    """What a callable returns. It is code from elsewhere, and this job alone runs it."""
    module_name, _, function = entry_point.partition(":")
    module = importlib.import_module(module_name)
    if Path(module.__file__).resolve() != path.resolve():
        raise ModelError(f"{module_name} was imported from {module.__file__}, not from {path}")
    if not callable(getattr(module, function, None)):
        raise ModelError(f"{path} has no function {function!r}")
    return getattr(module, function)()


def _weights(came: object) -> Weights:
    """The state dict of what a callable returned."""
    found = came.state_dict() if isinstance(came, nn.Module) else came
    if not isinstance(found, dict) or not all(isinstance(one, Tensor) for one in found.values()):
        raise ModelError(
            f"the entry point returned a {type(came).__name__}; allowed: an nn.Module, or a dict "
            "of tensors by name"
        )
    return dict(found)


def _check(network: nn.Module, found: Found, dataset: Dataset, kind: str) -> None:
    """The network computes, and a module as it came computes the same."""
    images, classes = dataset.validation.head(PROBE_IMAGES).floats(), len(dataset.classes)
    ours = require_logits(network, images, classes, found.name)
    if found.module is not None:
        theirs = require_logits(found.module.to("cpu").eval(), images, classes, found.name)
        require_same_logits(ours, theirs, found.name, kind)


def _about(dataset: Dataset, found: Found) -> dict[str, str]:
    """Notes for whoever opens the model file, and for the tables."""
    return {
        "dataset": dataset.name,
        "stage": "external",
        "origin": AS_IT_CAME,
        "checkpoint": found.name,
        "checkpoint_sha256": found.sha256,
    }

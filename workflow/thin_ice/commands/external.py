"""Take a network from elsewhere as a dense network: its weights in one of our architectures."""

import hashlib
import importlib
from pathlib import Path

from torch import Tensor, nn

from thin_ice import outside
from thin_ice.commands.job import Job
from thin_ice.data.split import Dataset, load_dataset
from thin_ice.device import prepare
from thin_ice.errors import ModelError
from thin_ice.models.artifact import save_model
from thin_ice.models.external import (
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
    wanted = job.parameters
    model, checkpoint = wanted["model"], wanted["checkpoint"]
    dataset = load_dataset(job.input("dataset"))
    name, path = outside.source_name(checkpoint), outside.weights_file(checkpoint)
    contents = path.read_bytes()
    digest = _verified(contents, checkpoint["sha256"], name)
    came, weights = None, None
    if checkpoint["entry_point"]:
        came = _called(checkpoint["entry_point"], path)
        weights = _weights(came)
    else:
        weights = read_weights(contents, name, checkpoint["under"])
    statistics = None
    if checkpoint["mean"] is not None:
        statistics = checkpoint["mean"], checkpoint["std"]
    architecture = Architecture(
        model["kind"],
        model["options"],
        dataset.input_shape,
        len(dataset.classes),
        normalize=statistics is not None,
    )
    network = fitted(architecture, renamed(weights, checkpoint["keys"]), name, statistics)
    _check(network, came, dataset, name, model["kind"])
    output = job.folder / "model.safetensors"
    save_model(output, network, architecture, about=_about(dataset, name, digest))
    job.sources[name] = path
    return [output]


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


def _check(network: nn.Module, came: object, dataset: Dataset, name: str, kind: str) -> None:
    """The network computes, and a module as it came computes the same."""
    images, classes = dataset.validation.head(PROBE_IMAGES).floats(), len(dataset.classes)
    ours = require_logits(network, images, classes, name)
    if isinstance(came, nn.Module):
        theirs = require_logits(came.to("cpu").eval(), images, classes, name)
        require_same_logits(ours, theirs, name, kind)


def _about(dataset: Dataset, name: str, digest: str) -> dict[str, str]:
    """Notes for whoever opens the model file, and for the tables."""
    return {
        "dataset": dataset.name,
        "stage": "external",
        "origin": AS_IT_CAME,
        "checkpoint": name,
        "checkpoint_sha256": digest,
    }

"""Numbers in a crate: hyper-parameters as a study set them, and metrics as they were measured."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rocrate.model import Entity
from rocrate.rocrate import ROCrate

from thin_ice.provenance.crate.entities import Tree, add, ref

PARAMETER_PROFILE = "https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE"


def leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """The scalars of a tree with their dotted keys, items of lists by number."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for name, below in items:
            yield from leaves(below, f"{key}.{name}" if key else str(name))
    else:
        yield key, value


def add_hyper_parameters(crate: ROCrate, study: Tree) -> tuple[list[str], list[str]]:
    """Each leaf of a resolved study as a FormalParameter and the PropertyValue it was given.

    Returns:
        The identifiers of the parameters and of their values.
    """
    parameters, values = [], []
    for key, value in leaves(study):
        parameter, given = f"#parameter/{key}", f"#value/{key}"
        add_formal_parameter(crate, parameter, key, _data_type(value), workExample=ref(given))
        add(
            crate,
            given,
            "PropertyValue",
            name=key,
            value=_portable(value),
            exampleOfWork=ref(parameter),
        )
        parameters.append(parameter)
        values.append(given)
    return parameters, values


def add_formal_parameter(
    crate: ROCrate, identifier: str, name: str, kind: str, **properties: Any
) -> Entity:
    return add(
        crate,
        identifier,
        "FormalParameter",
        name=name,
        additionalType=kind,
        conformsTo=ref(PARAMETER_PROFILE),
        **properties,
    )


def _data_type(value: Any) -> str:
    """Schema.org's name of a scalar's type."""
    names = {bool: "Boolean", int: "Integer", float: "Float"}
    return names.get(type(value), "Text")


def _portable(value: Any) -> Any:
    """A value without the exporting machine's folders; null as text, since JSON-LD drops it."""
    if isinstance(value, str) and (Path(value).is_absolute() or value.startswith("~")):
        return Path(value).name
    return "null" if value is None else value


def add_metrics(crate: ROCrate, path: str, numbers: Tree) -> list[str]:
    """The values of the metrics file at ``path`` as PropertyValues; gives their identifiers."""
    found = []
    for name, value in measured(numbers):
        identifier = f"#metric/{path}/{name}"
        add(crate, identifier, "PropertyValue", name=name, **value)
        found.append(identifier)
    return found


def measured(numbers: Tree) -> Iterator[tuple[str, Tree]]:
    """What a metrics file says, by name: value, unit and bounds of the 95 % interval."""
    yield "samples", {"value": numbers["samples"]}
    for name, interval in accuracies(numbers):
        yield f"accuracy.{name}", _accuracy(interval)
    for protocol, claimed in numbers["claimed"].items():
        points = {"value": claimed["overestimate_points"], "unitText": "percentage points"}
        yield f"overestimate.{protocol}", points
    for name in ("prunable", "all_parameters"):
        yield f"sparsity.{name}", {"value": numbers["sparsity"][name]}


def accuracies(numbers: Tree) -> Iterator[tuple[str, Tree]]:
    """Each accuracy of a metrics file by its name, with its bounds."""
    yield "clean", numbers["clean"]
    yield "autoattack", numbers["autoattack"]
    for protocol, claimed in numbers["claimed"].items():
        yield f"claimed.{protocol}", claimed["accuracy"]


def _accuracy(interval: Tree) -> Tree:
    return {
        "value": interval["percent"],
        "minValue": interval["low_percent"],
        "maxValue": interval["high_percent"],
        "unitText": "percent",
        "measurementTechnique": "share of test samples, with its 95 % interval",
    }


def read_numbers(path: Path) -> Tree:
    """A metrics file."""
    return json.loads(path.read_text(encoding="utf-8"))

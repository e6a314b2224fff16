"""The dataset artifact: one safetensors file that later stages read, whatever the source was.

It holds ``PART.images`` (uint8, NCHW), ``PART.labels`` and ``PART.ids`` (int64) for the parts
train, validation and test, and for extra where the dataset was given more images to train on. The
metadata has ``format``, ``name``, and ``classes`` as JSON.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as serialize

from thin_ice.data.partition import EXTRA, PARTS, Partition
from thin_ice.data.raw import Arrays, UnusableData
from thin_ice.tensors import write_tensors

FORMAT = "thin-ice-dataset-1"
FIELDS = ("images", "labels", "ids")


class Header(NamedTuple):
    """What the metadata say."""

    name: str
    classes: tuple[str, ...]


def save(path: str | Path, partition: Partition) -> None:
    """Write the artifact, whole or not at all; the same partition gives the same bytes."""
    names = PARTS if partition.extra is None else (*PARTS, EXTRA)
    parts = {part: getattr(partition, part) for part in names}
    # Without the copy, safetensors writes a transposed array's memory under the wrong shape.
    tensors = {
        f"{part}.{field}": np.ascontiguousarray(getattr(arrays, field))
        for part, arrays in parts.items()
        for field in FIELDS
    }
    metadata = {
        "format": FORMAT,
        "name": partition.name,
        "classes": json.dumps(partition.classes, ensure_ascii=False),
    }
    write_tensors(path, serialize(tensors), metadata)


def load(path: str | Path) -> Partition:
    """The partition that ``save`` wrote, as numpy arrays.

    Raises:
        UnusableData: the file is damaged or is no dataset artifact.
        FileNotFoundError: there is no such file.
    """
    with opened(path, "numpy") as (header, file):
        names = (*PARTS, EXTRA) if has_extra(file) else PARTS
        return Partition(*header, *(Arrays(*read_part(file, part)) for part in names))


@contextmanager
def opened(path: str | Path, framework: str) -> Iterator[tuple[Header, Any]]:
    """The header of an artifact and its open safetensors file ("numpy" arrays or "pt" tensors).

    Raises:
        UnusableData: the file is damaged or is no dataset artifact.
        FileNotFoundError: there is no such file.
    """
    try:
        with safe_open(path, framework=framework) as file:
            yield _header(path, file.metadata() or {}), file
    except SafetensorError as error:
        raise UnusableData(f"{path} is no readable dataset artifact: {error}") from error


def read_part(file: Any, part: str) -> tuple[Any, Any, Any]:
    """Images, labels and ids of one part; the other parts are not read."""
    if part not in (*PARTS, EXTRA):
        raise ValueError(f"there is no part {part!r}; allowed: {', '.join((*PARTS, EXTRA))}")
    return tuple(file.get_tensor(f"{part}.{field}") for field in FIELDS)


def has_extra(file: Any) -> bool:
    """Whether an open artifact has the fourth part."""
    return f"{EXTRA}.images" in file.keys()  # noqa: SIM118 - the file is no dictionary


def _header(path: str | Path, metadata: dict[str, str]) -> Header:
    if metadata.get("format") != FORMAT:
        found = metadata.get("format", "not given")
        raise UnusableData(f"{path} is no dataset artifact: its format is {found}, not {FORMAT}")
    return Header(metadata["name"], tuple(json.loads(metadata["classes"])))

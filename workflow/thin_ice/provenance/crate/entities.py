"""What a crate is made of: files and other entities, and references to them."""

import hashlib
import io
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from rocrate.model import ContextEntity, Entity
from rocrate.rocrate import ROCrate

from thin_ice.files import sha256

FORMATS = {
    ".cff": "application/yaml",
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet",
    ".png": "image/png",
    ".safetensors": "application/octet-stream",
    ".svg": "image/svg+xml",
    ".yaml": "application/yaml",
}
# What a machine looks for among the files.
DATASET = "http://schema.org/Dataset"
MODEL = "http://www.w3.org/ns/mls#Model"  # ML Schema; schema.org has no trained model
KINDS = {"dataset.safetensors": DATASET, "model.safetensors": MODEL}
IMAGES = (".png", ".svg")
Tree = dict[str, Any]


def ref(identifier: str) -> dict[str, str]:
    """A reference to an entity, made without looking it up."""
    return {"@id": identifier}


def refs(identifiers: Iterable[str]) -> list[dict[str, str]] | dict[str, str] | None:
    """References to several entities: a single one stands alone, as RO-Crate 1.1 wants it, and
    none is nothing.
    """
    found = [ref(identifier) for identifier in identifiers]
    return found[0] if len(found) == 1 else found or None


def add(crate: ROCrate, identifier: str, kind: str | list[str], /, **properties: Any) -> Entity:
    """Add an entity that is no file; what is None is left out."""
    given = {name: value for name, value in properties.items() if value is not None}
    return crate.add(ContextEntity(crate, identifier, {"@type": kind, **given}))


def add_file(
    crate: ROCrate, source: Path, path: str, digest: str | None = None, **properties: Any
) -> Entity:
    """Add a file, to be copied from ``source`` to ``path`` in the crate.

    ``digest``: its SHA-256 if that is known; otherwise the file is read. Properties given go over
    those that follow from the file's name.
    """
    given = file_properties(path) | {
        "contentSize": str(source.stat().st_size),
        "sha256": digest or sha256(source),
    }
    return crate.add_file(source, path, properties=given | properties)


def add_text(crate: ROCrate, text: str, path: str, **properties: Any) -> Entity:
    """Add a file that does not exist yet."""
    contents = text.encode()
    given = file_properties(path) | {
        "contentSize": str(len(contents)),
        "sha256": hashlib.sha256(contents).hexdigest(),
    }
    return crate.add_file(io.BytesIO(contents), path, properties=given | properties)


def file_properties(path: str) -> Tree:
    """Type, name and format of a file, as far as they follow from its name."""
    name = PurePosixPath(path)
    properties: Tree = {
        "@type": ["File", "ImageObject"] if name.suffix in IMAGES else "File",
        "name": path,
        "encodingFormat": FORMATS.get(name.suffix, "text/plain"),
    }
    if name.name in KINDS:
        properties["additionalType"] = KINDS[name.name]
    return properties

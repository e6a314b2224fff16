"""Images in the parquet layout of the Hugging Face hub, as CIFAR-10 has it there.

A part is one or more shards ``PART-00000-of-00002.parquet`` with the columns ``img`` (a struct with
the encoded image under ``bytes``) and ``label``. Ids count the rows over the shards sorted by name.
Only PNG and JPEG are accepted, because the caller must know whether the images are lossless.
"""

import io
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image

from thin_ice.data.raw import Arrays, UnusableData

SIZE = (32, 32)
SLAB = 512  # images a thread decodes at a time: decoding one is too short to be a task


class Decoded(NamedTuple):
    """Images (N, 3, height, width) uint8, and whether one of them had been stored as JPEG."""

    images: np.ndarray
    any_jpeg: bool


def find_shards(folder: Path, part: str) -> list[Path]:
    """The shards of ``part`` that lie directly in ``folder``, sorted by name."""
    return sorted(folder.glob(f"{part}-*.parquet"))


def read_part(folder: Path, part: str) -> tuple[Arrays, bool]:
    """The samples of a part ("train" or "test"), and whether any image was stored as JPEG.

    Raises:
        UnusableData: a shard is absent or damaged, has other columns, or holds an image that is
            not a 32x32 RGB image in PNG or JPEG.
    """
    shards = find_shards(folder, part)
    _check_complete(folder, part, shards)
    tables = [_read_shard(shard) for shard in shards]
    decoded = _decode_all([image for images, _ in tables for image in images], f"{folder}, {part}")
    labels = np.concatenate([labels for _, labels in tables])
    return Arrays(decoded.images, labels, np.arange(len(labels))), decoded.any_jpeg


def _check_complete(folder: Path, part: str, shards: list[Path]) -> None:
    """Ids are row numbers, so an absent shard would silently renumber the samples after it."""
    totals = {total for shard in shards for total in re.findall(r"-of-(\d+)\.parquet$", shard.name)}
    if not shards or any(int(total) != len(shards) for total in totals):
        found = ", ".join(shard.name for shard in shards) or "none"
        raise UnusableData(f"the {part} shards in {folder} are not one complete set: {found}")


def _read_shard(path: Path) -> tuple[list[bytes], np.ndarray]:
    try:
        with pq.ParquetFile(path) as file:
            _check_columns(path, file.schema_arrow)
            table = file.read(columns=["img.bytes", "label"])
    except (pa.ArrowException, OSError) as error:
        raise UnusableData(f"{path} is no readable parquet file: {error}") from error
    images = pc.struct_field(table["img"], "bytes")
    if images.null_count or table["label"].null_count:
        raise UnusableData(f"{path} has rows without an image or without a label")
    return images.to_pylist(), table["label"].to_numpy().astype(np.int64)


def _check_columns(path: Path, schema: pa.Schema) -> None:
    """Complain unless there are ``img``, a struct with ``bytes``, and ``label``, an integer."""
    kinds = {field.name: field.type for field in schema}
    image, label = kinds.get("img"), kinds.get("label")
    has_image = image is not None and pa.types.is_struct(image)
    has_image = has_image and image.get_field_index("bytes") >= 0
    if not has_image or label is None or not pa.types.is_integer(label):
        found = ", ".join(f"{name} ({kind})" for name, kind in kinds.items())
        wanted = "img (struct with bytes) and label (integer)"
        raise UnusableData(f"{path} needs the columns {wanted}, it has {found}")


def _decode_all(encoded: list[bytes], where: str) -> Decoded:
    slabs = [encoded[start : start + SLAB] for start in range(0, len(encoded), SLAB)]
    try:
        # Pillow releases the interpreter lock while it decodes.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            decoded = list(pool.map(_decode_slab, slabs))
    except (OSError, SyntaxError, ValueError) as error:  # Pillow has no exception of its own
        raise UnusableData(f"{where}: an image cannot be used: {error}") from error
    if not decoded:
        raise UnusableData(f"{where}: there are no images")
    images = np.concatenate([slab.images for slab in decoded])
    return Decoded(images, any(slab.any_jpeg for slab in decoded))


def _decode_slab(encoded: list[bytes]) -> Decoded:
    images = np.empty((len(encoded), 3, *SIZE), np.uint8)
    any_jpeg = False
    for row, content in enumerate(encoded):
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as image:
            if image.size != SIZE or image.mode != "RGB":
                raise ValueError(f"it is {image.mode} {image.size}, not RGB {SIZE}")
            images[row] = np.asarray(image).transpose(2, 0, 1)
            any_jpeg |= image.format == "JPEG"
    return Decoded(images, any_jpeg)

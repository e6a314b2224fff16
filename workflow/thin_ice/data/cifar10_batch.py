"""One batch file of the official CIFAR-10 archive: a Python-2 pickle, read without unpickling.

The pickle is a dict with ``data``, a numpy array whose state ends in the raw bytes, ``labels``, a
list of integers, and names that are not needed here.
"""

from typing import Any

import numpy as np

from thin_ice.data.pickle_free import InertCall, UnreadablePickle, rebuild

IMAGE_BYTES = 3 * 32 * 32


def read_batch(content: bytes) -> tuple[np.ndarray, list[int]]:
    """Pixels and labels of a batch file, given its bytes.

    Returns:
        The ``data`` array, uint8 (N, 3072), read-only, a row the red, then the green, then the
        blue plane of an image, each in row order; and the N ``labels``.

    Raises:
        UnreadablePickle: the file holds something else.
    """
    batch = rebuild(content)
    if not isinstance(batch, dict):
        raise UnreadablePickle(f"a batch is a dict, this is a {type(batch).__name__}")
    entries = {_text(key): value for key, value in batch.items()}
    pixels = _pixels(entries.get("data"))
    labels = _labels(entries.get("labels"))
    if len(labels) != len(pixels):
        raise UnreadablePickle(f"the batch has {len(pixels)} images but {len(labels)} labels")
    return pixels, labels


def _text(key: Any) -> Any:
    """A Python-2 string as str; anything else as it is."""
    return key.decode("latin-1") if isinstance(key, bytes) else key


def _labels(values: Any) -> list[int]:
    if not isinstance(values, list) or not all(type(value) is int for value in values):
        raise UnreadablePickle("the batch has no list of integers under 'labels'")
    return values


def _pixels(record: Any) -> np.ndarray:
    """The array of a numpy pickle: its state is (version, shape, dtype, column order?, bytes)."""
    state = record.state if isinstance(record, InertCall) else None
    if not isinstance(state, tuple) or len(state) != 5:
        raise UnreadablePickle("the batch has no numpy array under 'data'")
    _, shape, dtype, column_order, raw = state
    if not _is_uint8(dtype) or column_order is not False or not isinstance(raw, bytes):
        raise UnreadablePickle("the batch's array is not uint8 in row order")
    if shape != (len(raw) // IMAGE_BYTES, IMAGE_BYTES) or len(raw) % IMAGE_BYTES:
        message = f"the batch's array says shape {shape} and has {len(raw)} bytes"
        raise UnreadablePickle(f"{message}; a row should have {IMAGE_BYTES}")
    return np.frombuffer(raw, np.uint8).reshape(shape)


def _is_uint8(dtype: Any) -> bool:
    return isinstance(dtype, InertCall) and dtype.arguments[:1] in ((b"u1",), ("u1",))

"""Safetensors files whose bytes depend on their contents only.

The safetensors library writes metadata in the order of a hash map, another one at every call, so
two saves of the same contents would differ in their checksum. Here the metadata is put, sorted,
into the header of a file that the library wrote without any.

Format: https://huggingface.co/docs/safetensors#format. 8 bytes with the length of the header,
little endian; the header, JSON, padded with blanks to a multiple of 8; the tensors.
"""

import json
from pathlib import Path

from thin_ice.files import atomic_path

WORD = 8


def write_tensors(path: str | Path, payload: bytes, metadata: dict[str, str]) -> None:
    """Write atomically what ``safetensors.torch.save`` or ``.numpy.save`` gave, with metadata."""
    header, tensors = with_metadata(payload, metadata)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(header)
        file.write(tensors)


def with_metadata(payload: bytes, metadata: dict[str, str]) -> tuple[bytes, memoryview]:
    """Length and header with metadata, and the tensors: to be written in turn."""
    end = WORD + int.from_bytes(payload[:WORD], "little")
    entries = json.loads(payload[WORD:end])
    header = json.dumps({"__metadata__": dict(sorted(metadata.items())), **entries}).encode()
    header += b" " * (-len(header) % WORD)
    return len(header).to_bytes(WORD, "little") + header, memoryview(payload)[end:]

"""Many files read or hashed, several at a time; digests are remembered only if asked."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from thin_ice.files import write_json

READERS = min(32, 4 * (os.cpu_count() or 1))  # a disk likes several requests at a time
BATCH = 16  # files a thread takes at a time: a small file is too short to be a task
BUFFER = 1 << 20  # bytes read at a time
T = TypeVar("T")


def read_all(paths: Iterable[Path]) -> list[bytes]:
    """What each of many small files holds."""
    return _of_each(_read_batch, list(paths))


def sha256_of_all(paths: Iterable[Path], memory: Path | None = None) -> dict[Path, str]:
    """Hex digest of each file, in the order given.

    Args:
        paths: files that exist.
        memory: a file in which digests are remembered by path, size, time of modification and
            inode. A change that keeps all of these is not seen, so an audit that must see every
            change does without.
    """
    paths, known = list(paths), _remembered(memory)
    stamps = {path: _stamp(path) for path in paths} if memory else {}
    digests = {
        path: known[str(path)]["sha256"]
        for path, stamp in stamps.items()
        if known.get(str(path), {}).get("stamp") == stamp
    }
    unknown = [path for path in paths if path not in digests]
    digests |= zip(unknown, _of_each(_sha256_of_batch, unknown), strict=True)
    if memory:
        fresh = {str(p): {"stamp": stamps[p], "sha256": digests[p]} for p in unknown}
        write_json(memory, known | fresh)
    return {path: digests[path] for path in paths}


def _of_each(work: Callable[[list[Path]], list[T]], paths: list[Path]) -> list[T]:
    """What some work on batches comes to for each path. Threads suffice: reading and hashing let
    go of the interpreter.
    """
    batches = [paths[start : start + BATCH] for start in range(0, len(paths), BATCH)]
    with ThreadPoolExecutor(READERS) as pool:
        return [one for batch in pool.map(work, batches) for one in batch]


def _read_batch(paths: list[Path]) -> list[bytes]:
    return [path.read_bytes() for path in paths]


def _sha256_of_batch(paths: list[Path]) -> list[str]:
    """One buffer for all: a new one for each file (`hashlib.file_digest`) costs a fifth more."""
    buffer = memoryview(bytearray(BUFFER))
    return [_sha256(path, buffer) for path in paths]


def _sha256(path: Path, buffer: memoryview) -> str:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
    return digest.hexdigest()


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ino]


def _remembered(memory: Path | None) -> dict[str, dict]:
    """What an earlier run left; nothing where the file is absent or no such memory."""
    try:
        known = json.loads(memory.read_text(encoding="utf-8")) if memory else {}
    except (OSError, ValueError):
        return {}
    if not isinstance(known, dict):
        return {}
    return {path: one for path, one in known.items() if isinstance(one, dict) and "sha256" in one}

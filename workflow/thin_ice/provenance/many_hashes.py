"""SHA-256 of many files: several at a time, and remembered only if asked."""

import json
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from thin_ice.files import write_json
from thin_ice.provenance.hashing import sha256

READERS = min(32, 4 * (os.cpu_count() or 1))  # a disk likes several requests at a time
BATCH = 16  # files a thread takes at a time: a small file is too short to be a task


def sha256_of_all(paths: Iterable[Path], memory: Path | None = None) -> dict[Path, str]:
    """Hex digest of each file. Threads suffice: hashing and reading let go of the interpreter.

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
    batches = [unknown[start : start + BATCH] for start in range(0, len(unknown), BATCH)]
    with ThreadPoolExecutor(READERS) as pool:
        for batch, found in zip(batches, pool.map(_sha256_of_each, batches), strict=True):
            digests |= zip(batch, found, strict=True)
    if memory:
        fresh = {str(p): {"stamp": stamps[p], "sha256": digests[p]} for p in unknown}
        write_json(memory, known | fresh)
    return digests


def _sha256_of_each(paths: list[Path]) -> list[str]:
    return [sha256(path) for path in paths]


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

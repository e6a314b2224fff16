"""SHA-256 of files."""

import hashlib
from pathlib import Path


def sha256(path: str | Path) -> str:
    """Hex digest of a file, streamed."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

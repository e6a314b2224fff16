"""Files from the network: named by their SHA-256, and in place whole and verified or not at all."""

import hashlib
import shutil
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO

from thin_ice.data.raw import DataError, UnusableData
from thin_ice.files import atomic_path

TIMEOUT_SECONDS = 60


class DownloadFailed(DataError):
    """The network did not give the file; nothing was written under its name."""


def fetch(url: str, path: Path, sha256: str) -> None:
    """Download ``url`` to ``path``.

    The file gets its name only after its checksum was found right, so an interrupted or falsified
    download is never taken for the data.

    Raises:
        DownloadFailed: the address could not be read to its end.
        UnusableData: what came has another SHA-256.
    """
    with atomic_path(path) as temporary:
        _download(url, temporary)
        with temporary.open("rb") as file:
            check_sha256(file, sha256, url)


def check_sha256(file: BinaryIO, sha256: str, where: str | Path) -> None:
    """Read an open file to its end, compare its SHA-256, and leave it at its beginning.

    The caller goes on with the same open file: what was verified is what is read.

    Raises:
        UnusableData: the SHA-256 is another.
    """
    found = hashlib.file_digest(file, "sha256").hexdigest()
    file.seek(0)
    if found != sha256:
        raise UnusableData(f"{where} has SHA-256 {found}, expected {sha256}; it was not used")


def _download(url: str, path: Path) -> None:
    try:
        with (
            urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer,
            path.open("wb") as file,
        ):
            shutil.copyfileobj(answer, file)
    except (OSError, HTTPException) as error:
        raise DownloadFailed(f"could not download {url}: {error}") from error

"""The official ``cifar-10-python.tar.gz``: verified by its checksum, then read without unpacking.

Ids count the rows of ``data_batch_1`` to ``data_batch_5`` for train and of ``test_batch`` for test.

Source: Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html.
"""

import tarfile
import zlib
from pathlib import Path

import numpy as np

from thin_ice.data.cifar10_batch import read_batch
from thin_ice.data.fetch import check_sha256
from thin_ice.data.raw import Arrays, UnusableData

ARCHIVE = "cifar-10-python.tar.gz"
URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"

TRAIN_BATCHES = tuple(f"cifar-10-batches-py/data_batch_{number}" for number in range(1, 6))
TEST_BATCHES = ("cifar-10-batches-py/test_batch",)

Batch = tuple[np.ndarray, list[int]]


def read_archive(path: Path, sha256: str = SHA256) -> tuple[Arrays, Arrays]:
    """Train and test samples of the archive.

    Raises:
        UnusableData: another SHA-256 (nothing was read then), or a batch is damaged or not there.
    """
    with path.open("rb") as file:
        check_sha256(file, sha256, path)
        try:
            with tarfile.open(fileobj=file, mode="r:gz") as archive:
                batches = _read_batches(archive)
        except (tarfile.TarError, zlib.error, OSError, EOFError, ValueError) as error:
            raise UnusableData(f"{path} cannot be read: {error}") from error
    return _join(batches, TRAIN_BATCHES), _join(batches, TEST_BATCHES)


def _read_batches(archive: tarfile.TarFile) -> dict[str, Batch]:
    """All batches, in one pass: going back in a compressed archive unpacks it again."""
    wanted = {*TRAIN_BATCHES, *TEST_BATCHES}
    members = (member for member in archive if member.name in wanted)
    batches = {member.name: _read_member(archive, member) for member in members}
    if absent := sorted(wanted - batches.keys()):
        raise ValueError(f"it has no {', '.join(absent)}")
    return batches


def _read_member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Batch:
    file = archive.extractfile(member)
    if file is None:
        raise ValueError(f"{member.name} is not a file")
    return read_batch(file.read())


def _join(batches: dict[str, Batch], names: tuple[str, ...]) -> Arrays:
    rows = np.concatenate([batches[name][0] for name in names])
    labels = np.array([label for name in names for label in batches[name][1]], dtype=np.int64)
    return Arrays(rows.reshape(-1, 3, 32, 32), labels, np.arange(len(rows)))

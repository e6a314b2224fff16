"""CIFAR-10: 50,000 training and 10,000 test images of 32x32x3 in ten classes.

Two layouts are read: parquet shards of the Hugging Face hub, and the official archive. Where a
folder has both, the parquet wins. Parquet copies with JPEG images exist; they are not lossless, so
networks and numbers made on one are not those of CIFAR-10, and it is named ``cifar10-jpeg``.
Ids are row numbers of the layout that was read; the two layouts order the samples differently.

Source: Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images".
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from thin_ice.data import cifar10_archive, hub_parquet
from thin_ice.data.fetch import fetch
from thin_ice.data.raw import MissingData, RawDataset

PARTS = ("train", "test")
TRAIN_SAMPLES, TEST_SAMPLES = 50_000, 10_000
CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)


@dataclass(frozen=True)
class Cifar10:
    """CIFAR-10 from a folder.

    Attributes:
        folder: where the data is, or where the archive goes when it is downloaded.
        download: fetch the official archive (170 MB) when the folder has no data.
    """

    shape: ClassVar[tuple[int, int, int]] = (3, 32, 32)
    classes: ClassVar[int] = 10

    folder: str = "data/cifar10"
    download: bool = False

    def missing(self) -> str | None:
        """What has to be put where before ``read`` can work; None where nothing is missing."""
        return None if self.download else _absence(Path(self.folder))

    def sources(self) -> dict[str, Path]:
        """The files that ``read`` reads and that are there, by their names in the folder."""
        return {f"cifar10/{path.name}": path for path in _files(Path(self.folder))}

    def test_size(self) -> int:
        """Number of test samples, known without reading them."""
        return TEST_SAMPLES

    def train_size(self) -> int:
        """Number of training samples, those for validation included, known without reading."""
        return TRAIN_SAMPLES

    def read(self) -> RawDataset:
        """The dataset.

        Raises:
            MissingData: no data in the folder, and no leave to download it.
            UnusableData: the data is damaged or not CIFAR-10.
            DownloadFailed: the network did not give the archive.
        """
        return read_folder(Path(self.folder), self.download)


def read_folder(
    folder: Path,
    download: bool,
    url: str = cifar10_archive.URL,
    sha256: str = cifar10_archive.SHA256,
) -> RawDataset:
    """``Cifar10.read`` for an archive of this address and SHA-256; see there."""
    absence = _absence(folder)
    if absence and not download:
        raise MissingData(absence)
    if _has_parquet(folder):
        return _read_parquet(folder)
    archive = folder / cifar10_archive.ARCHIVE
    if absence:
        fetch(url, archive, sha256)
    return RawDataset("cifar10", CLASSES, *cifar10_archive.read_archive(archive, sha256))


def _read_parquet(folder: Path) -> RawDataset:
    train, train_jpeg = hub_parquet.read_part(folder, "train")
    test, test_jpeg = hub_parquet.read_part(folder, "test")
    name = "cifar10-jpeg" if train_jpeg or test_jpeg else "cifar10"
    return RawDataset(name, CLASSES, train, test)


def _files(folder: Path) -> list[Path]:
    if _has_parquet(folder):
        return [shard for part in PARTS for shard in hub_parquet.find_shards(folder, part)]
    archive = folder / cifar10_archive.ARCHIVE
    return [archive] if archive.is_file() else []


def _absence(folder: Path) -> str | None:
    if _files(folder):
        return None
    return (
        f"no CIFAR-10 in {folder}; allowed: Hugging Face parquet files train-*.parquet and "
        f"test-*.parquet directly in it, or {cifar10_archive.ARCHIVE}, or download: true"
    )


def _has_parquet(folder: Path) -> bool:
    return all(hub_parquet.find_shards(folder, part) for part in PARTS)

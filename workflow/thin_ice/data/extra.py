"""A second set of images with pseudo-labels, from a file or folder, for training alone.

Two forms are read. A folder: parquet shards ``train-*.parquet`` of the Hugging Face hub, as
`thin_ice.data.hub_parquet` reads them. A file ``.npz``: the arrays ``image`` (uint8, NHWC or NCHW)
and ``label`` (whole numbers), the form in which generated images for CIFAR-10 are published (Wang
et al. 2023, arXiv 2302.04638). The pickles of pseudo-labelled Tiny Images (Carmon et al. 2019,
arXiv 1905.13736) are programs and are not read: their arrays have to be saved in this form first.

Ids are places in the file; no table has them, because no network is evaluated on these images.
"""

import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from thin_ice.data.raw import Arrays, RawDataset, UnusableData

PART = "train"  # the shards of a folder
SHARDS = f"{PART}-*.parquet"
FORMS = "an .npz file with image and label, or a folder with train-*.parquet"


class Fitting(NamedTuple):
    """What extra images must fit: shape (channels, height, width) and number of classes."""

    shape: tuple[int, int, int]
    classes: int


def missing(path: Path) -> str | None:
    """What has to be put there; None where nothing is missing."""
    if path.suffix == ".npz" and path.is_file():
        return None
    if path.is_dir() and any(path.glob(SHARDS)):
        return None
    return f"{str(path)!r} is no extra data; allowed: {FORMS}"


def sources(path: Path) -> dict[str, Path]:
    """The files that ``read`` reads, by names that hold on any machine."""
    files = sorted(path.glob(SHARDS)) if path.is_dir() else [path]
    return {f"extra/{file.name}": file for file in files}


def read(path: Path, fitting: Fitting) -> Arrays:
    """The images and their labels.

    Raises:
        UnusableData: there is nothing of either form, it is damaged, the images have another type
            or shape than the dataset's, or a label names none of its classes.
    """
    if lacking := missing(path):
        raise UnusableData(lacking)
    samples = _read_shards(path) if path.is_dir() else _read_npz(path, fitting)
    _check(path, samples, fitting)
    return samples


def without_leaks(extra: Arrays, held_out: dict[str, Arrays]) -> Arrays:
    """``extra``, if none of its images is, bit for bit, one that networks are judged on.

    ``held_out``: those parts, by name.

    Raises:
        UnusableData: an image is also in one of the parts.
    """
    for name, part in held_out.items():
        seen = {image.tobytes() for image in part.images}
        if count := sum(image.tobytes() in seen for image in extra.images):
            raise UnusableData(
                f"{count} of the {len(extra)} extra images are {name} images; networks may not be "
                "trained on what they are judged by"
            )
    return extra


def _read_shards(folder: Path) -> Arrays:
    from thin_ice.data import hub_parquet  # slow to import, needed only here

    return hub_parquet.read_part(folder, PART)[0]


def _read_npz(path: Path, fitting: Fitting) -> Arrays:
    try:
        with np.load(path, allow_pickle=False) as file:
            absent = [name for name in ("image", "label") if name not in file.files]
            if absent:
                held = ", ".join(file.files) or "nothing"
                raise UnusableData(f"{path} has no array {absent[0]!r}; it holds {held}")
            images, labels = file["image"], file["label"]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UnusableData(f"{path} is no readable .npz file of plain arrays: {error}") from error
    return _arrays(path, images, labels, fitting)


def _arrays(path: Path, images: np.ndarray, labels: np.ndarray, fitting: Fitting) -> Arrays:
    channels, height, width = fitting.shape
    if images.dtype != np.uint8 or images.ndim != 4:
        raise UnusableData(
            f"{path}: image is {images.dtype} of shape {images.shape}; allowed: uint8, "
            "(samples, height, width, channels) or (samples, channels, height, width)"
        )
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or len(labels) != len(images):
        raise UnusableData(
            f"{path}: label is {labels.dtype} of shape {labels.shape}; allowed: a whole number for "
            f"each of the {len(images)} images"
        )
    if images.shape[1:] == (height, width, channels) != fitting.shape:
        images = images.transpose(0, 3, 1, 2)
    return Arrays(images, labels.astype(np.int64), np.arange(len(labels)))


def _check(path: Path, samples: Arrays, fitting: Fitting) -> None:
    if not len(samples):
        raise UnusableData(f"{path} holds no images")
    if samples.images.shape[1:] != fitting.shape:
        found = samples.images.shape[1:]
        raise UnusableData(f"{path}: images are {found}; allowed: {fitting.shape}, as the dataset")
    wrong = samples.labels[(samples.labels < 0) | (samples.labels >= fitting.classes)]
    if len(wrong):
        raise UnusableData(f"{path} has label {wrong[0]}; allowed: 0 to {fitting.classes - 1}")


def fitting(raw: RawDataset) -> Fitting:
    """What extra images of this dataset must fit."""
    return Fitting(raw.train.images.shape[1:], len(raw.classes))

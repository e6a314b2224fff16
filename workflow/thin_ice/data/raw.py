"""What a dataset reader gives: images, labels and sample ids as arrays, in the dataset's own split.

A sample gets its id here, once and for all; every later table is a join on it, so nothing after
this module may renumber samples. Ids are unique within a part (train or test), not across parts:
CIFAR-10 counts both of its parts from 0.
"""

from dataclasses import dataclass

import numpy as np

from thin_ice.errors import ThinIceError


class DataError(ThinIceError):
    """A dataset cannot be had. The message is one sentence for the person who runs the study."""


class MissingData(DataError):
    """The data is not there; the message says where it was sought and what is allowed there."""


class UnusableData(DataError):
    """The data is there, but damaged, of another form, or not what its checksum says."""


@dataclass(frozen=True, eq=False)
class Arrays:
    """Samples in memory, on the host.

    Attributes:
        images: uint8, (samples, channels, height, width), 0 to 255.
        labels: int64, (samples,), the class index.
        ids: int64, (samples,), unique.

    Raises:
        ValueError: a type or a shape is another, the lengths differ, or an id occurs twice.
    """

    images: np.ndarray
    labels: np.ndarray
    ids: np.ndarray

    def __post_init__(self) -> None:
        _check_array("images", self.images, np.uint8, 4)
        _check_array("labels", self.labels, np.int64, 1)
        _check_array("ids", self.ids, np.int64, 1)
        if not len(self.images) == len(self.labels) == len(self.ids):
            lengths = f"{len(self.images)} images, {len(self.labels)} labels, {len(self.ids)} ids"
            raise ValueError(f"every sample needs an image, a label and an id, not {lengths}")
        if len(np.unique(self.ids)) != len(self.ids):
            raise ValueError("a sample id occurs twice; ids must be unique within a part")

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: np.ndarray) -> "Arrays":
        """The samples at these positions (not ids), in the order of ``indices``, as copies."""
        return Arrays(self.images[indices], self.labels[indices], self.ids[indices])


@dataclass(frozen=True, eq=False)
class RawDataset:
    """A dataset as its authors split it; validation samples are still inside ``train``.

    Raises:
        ValueError: a label names no class, or train and test images differ in shape.
    """

    name: str
    classes: tuple[str, ...]
    train: Arrays
    test: Arrays

    def __post_init__(self) -> None:
        _check_labels("train", self.train.labels, len(self.classes))
        _check_labels("test", self.test.labels, len(self.classes))
        shapes = [part.images.shape[1:] for part in (self.train, self.test)]
        if shapes[0] != shapes[1]:
            raise ValueError(f"train images are {shapes[0]} and test images {shapes[1]}; not one")


def _check_array(what: str, array: np.ndarray, dtype: type, dimensions: int) -> None:
    if array.dtype != dtype or array.ndim != dimensions:
        wanted = f"{np.dtype(dtype)} with {dimensions} dimension(s)"
        raise ValueError(f"{what} must be {wanted}, not {array.dtype} of shape {array.shape}")


def _check_labels(part: str, labels: np.ndarray, classes: int) -> None:
    wrong = labels[(labels < 0) | (labels >= classes)]
    if len(wrong):
        raise ValueError(f"{part} has label {wrong[0]}; labels are 0 to {classes - 1}")

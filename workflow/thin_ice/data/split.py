"""A dataset on the device: the artifact as torch tensors. The only module of this room with torch.

Datasets of this field fit in device memory, so images are loaded once, as uint8, and stay there;
there are no loader workers, and augmentation happens on the device too.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from thin_ice.data import artifact
from thin_ice.data.partition import EXTRA, PARTS
from thin_ice.data.raw import UnusableData

GREY_LEVELS = 256

Augmentation = Literal["none", "crop", "crop_flip"]


@dataclass(frozen=True, eq=False)
class Split:
    """One part of a dataset.

    Attributes:
        images: uint8, (samples, channels, height, width), 0 to 255.
        labels: int64, (samples,).
        ids: int64, (samples,), ascending and unique.

    Raises:
        ValueError: a type or a number of dimensions is another, or the lengths differ.
    """

    images: Tensor
    labels: Tensor
    ids: Tensor

    def __post_init__(self) -> None:
        kinds = [(tensor.dtype, tensor.ndim) for tensor in (self.images, self.labels, self.ids)]
        if kinds != [(torch.uint8, 4), (torch.int64, 1), (torch.int64, 1)]:
            raise ValueError(f"a split is uint8 NCHW images, int64 labels, int64 ids, not {kinds}")
        if not len(self.images) == len(self.labels) == len(self.ids):
            raise ValueError("a split needs an image, a label and an id for every sample")

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str) -> "Split":
        """The same samples on ``device``."""
        return Split(self.images.to(device), self.labels.to(device), self.ids.to(device))

    def head(self, n: int) -> "Split":
        """The ``n`` samples with the smallest ids, or all where there are fewer (views)."""
        return Split(self.images[:n], self.labels[:n], self.ids[:n])

    def shard(self, number: int, size: int) -> "Split":
        """Slice ``number`` of consecutive ``size`` samples (views); empty beyond the end."""
        part = slice(number * size, (number + 1) * size)
        return Split(self.images[part], self.labels[part], self.ids[part])

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Consecutive batches of float32 images in [0, 1] and labels, the last may be smaller."""
        for images, labels in zip(self.images.split(size), self.labels.split(size), strict=True):
            yield images.float() / 255, labels

    def floats(self) -> Tensor:
        """All images as float32 in [0, 1]."""
        return self.images.to(torch.float32) / 255


@dataclass(frozen=True, eq=False)
class Dataset:
    """The three parts of a dataset, its name and its classes; ``extra``: more images to train on,
    with pseudo-labels, where they were asked for.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    extra: Split | None = None

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        return tuple(self.train.images.shape[1:])

    def mean_std(self) -> tuple[Tensor, Tensor]:
        """Mean and (population) standard deviation per channel over train, of images in [0, 1].

        Both float32, (channels,). Counted from the histogram of the 256 levels: exact, and
        without a floating-point copy of the training images.
        """
        counts = torch.stack([_histogram(channel) for channel in self.train.images.unbind(1)])
        shares = counts / counts.sum(1, keepdim=True)
        levels = torch.arange(GREY_LEVELS, device=shares.device, dtype=torch.float64) / 255
        mean = shares @ levels
        variance = (shares * (levels - mean[:, None]) ** 2).sum(1)
        return mean.float(), variance.sqrt().float()


def load_dataset(
    path: str | Path, device: torch.device | str = "cpu", extra: bool = False
) -> Dataset:
    """The dataset of an artifact file, on ``device``; extra images only where they are wanted.

    Raises:
        UnusableData: the file is damaged or is no dataset artifact, or has no extra images.
        FileNotFoundError: there is no such file.
    """
    with artifact.opened(path, "pt") as (header, file):
        if extra and not artifact.has_extra(file):
            raise UnusableData(f"{path} has no extra images, which plan.extra asks for")
        names = (*PARTS, EXTRA) if extra else PARTS
        parts = [Split(*artifact.read_part(file, part)).to(device) for part in names]
    return Dataset(*header, *parts)


def load_part(path: str | Path, part: str, device: torch.device | str = "cpu") -> Split:
    """One part, "train", "validation", "test" or "extra", of an artifact; nothing else is read.

    Raises:
        ValueError: there is no such part.
        UnusableData: the file is damaged or is no dataset artifact.
        FileNotFoundError: there is no such file.
    """
    with artifact.opened(path, "pt") as (_, file):
        return Split(*artifact.read_part(file, part)).to(device)


def augment(
    images: Tensor, kind: Augmentation, generator: torch.Generator, padding: int = 4
) -> Tensor:
    """Augment a batch the way the field does on CIFAR-10; "none" returns it and draws nothing.

    Every sample draws its own offset and its own flip, in a few batched operations: the same
    generator state gives the same batch, and no value travels to the host.

    Args:
        images: (samples, channels, height, width), of any type; zero is black.
        kind: "none", "crop", or "crop_flip" for a crop and then a flip with probability 1/2.
        generator: source of all random numbers, on the device of the images.
        padding: pixels of zeros on each side, which is also the farthest that an image moves.

    Raises:
        ValueError: there is no such kind.
    """
    if kind not in get_args(Augmentation):
        raise ValueError(f"no augmentation {kind!r}; allowed: {', '.join(get_args(Augmentation))}")
    if kind == "none":
        return images
    cropped = random_crop(images, generator, padding)
    return random_flip(cropped, generator) if kind == "crop_flip" else cropped


def random_crop(images: Tensor, generator: torch.Generator, padding: int) -> Tensor:
    """For each image a window of its own size out of its padded version."""
    samples, _, height, width = images.shape
    # A view, not a copy: (samples, channels, offsets, offsets, height, width).
    windows = F.pad(images, (padding,) * 4).unfold(2, height, 1).unfold(3, width, 1)
    down, right = torch.randint(
        2 * padding + 1, (2, samples), generator=generator, device=images.device
    )
    return windows[torch.arange(samples, device=images.device), :, down, right]


def random_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image mirrored left to right with probability 1/2."""
    coins = torch.randint(2, (len(images), 1, 1, 1), generator=generator, device=images.device)
    return torch.where(coins.bool(), images.flip(3), images)


def _histogram(levels: Tensor) -> Tensor:
    return torch.bincount(levels.flatten(), minlength=GREY_LEVELS).double()

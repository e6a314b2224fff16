"""Handwritten digits, the 1797 test images of UCI's "Optical Recognition of Handwritten Digits".

scikit-learn carries them, so a study on digits needs no download and runs on a CPU in minutes.
Images are 8x8 with grey levels 0 to 16, stretched here to 0 to 255. The authors' training part is
not in scikit-learn, so this reader makes train and test itself: stratified, with its own seed, so
that the test set stays the same whatever the seeds of a study are.

Source: Alpaydin and Kaynak 1998, https://doi.org/10.24432/C50P49.
"""

import importlib.util
import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from thin_ice.data.raw import Arrays, RawDataset

SAMPLES = 1797
GREY_LEVELS = 16
CLASSES = tuple(str(digit) for digit in range(10))


@dataclass(frozen=True)
class Digits:
    """scikit-learn's digits, 1x8x8; the sample id is the row in scikit-learn's order.

    Attributes:
        test_fraction: share of the samples that is the test set, between 0 and 1.
        split_seed: seed of the split into train and test.

    Raises:
        ValueError: ``test_fraction`` is not between 0 and 1.
    """

    shape: ClassVar[tuple[int, int, int]] = (1, 8, 8)
    classes: ClassVar[int] = 10

    test_fraction: float = 0.4
    split_seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.test_fraction < 1:
            raise ValueError(f"test_fraction is {self.test_fraction}; allowed: between 0 and 1")

    def missing(self) -> None:
        """Always None: the data comes with scikit-learn."""

    def sources(self) -> dict[str, Path]:
        """The file that scikit-learn reads, by a name that holds on any machine."""
        package = importlib.util.find_spec("sklearn")
        if package is None:  # whoever only looks at results needs no scikit-learn
            return {}
        folder = Path(package.origin).parent / "datasets" / "data"
        return {"scikit-learn/digits.csv.gz": folder / "digits.csv.gz"}

    def test_size(self) -> int:
        """Number of test samples, known without reading them."""
        return math.ceil(self.test_fraction * SAMPLES)

    def train_size(self) -> int:
        """Number of training samples, those for validation included, known without reading."""
        return SAMPLES - self.test_size()

    def read(self) -> RawDataset:
        """The dataset, ids ascending in each part."""
        samples = _all_samples()
        train, test = self._split(samples.labels)
        return RawDataset("digits", CLASSES, samples.take(train), samples.take(test))

    def _split(self, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        from sklearn.model_selection import train_test_split  # slow to import, needed only here

        train, test = train_test_split(
            np.arange(len(labels)),
            test_size=self.test_fraction,
            random_state=self.split_seed,
            stratify=labels,
        )
        return np.sort(train), np.sort(test)


def _all_samples() -> Arrays:
    from sklearn.datasets import load_digits  # slow to import, needed only here

    digits = load_digits()
    images = np.rint(digits.images * 255 / GREY_LEVELS).astype(np.uint8)
    labels = digits.target.astype(np.int64)
    return Arrays(images[:, None], labels, np.arange(len(labels)))

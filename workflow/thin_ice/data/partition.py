"""The one place where train is split into train and validation, and where samples are left out.

Checkpoints are selected on validation, never on test. Both choices, the split and the subsets that
limits ask for, are stratified by class and seeded. Samples keep the ids of the raw dataset.
"""

from dataclasses import dataclass

import numpy as np

from thin_ice.data.raw import Arrays, DataError, RawDataset

PARTS = ("train", "validation", "test")
EXTRA = "extra"  # a fourth part, of datasets that were given one


class ImpossiblePartition(DataError, ValueError):
    """The samples do not suffice for the split or subset that was asked for."""


@dataclass(frozen=True, eq=False)
class Partition:
    """A dataset in three parts; ids ascend in each, train and validation have none in common.
    ``extra``: pseudo-labelled images for training, from elsewhere; their ids are their own.
    """

    name: str
    classes: tuple[str, ...]
    train: Arrays
    validation: Arrays
    test: Arrays
    extra: Arrays | None = None


def partition(
    raw: RawDataset,
    validation: float,
    seed: int,
    limit_train: int | None = None,
    limit_test: int | None = None,
) -> Partition:
    """Split a dataset into train, validation and test.

    Args:
        raw: the dataset in its authors' train and test.
        validation: share of the (limited) training samples that is held out, between 0 and 1.
        seed: seed of the subsets and of the split.
        limit_train: use only so many training samples, validation included; None for all.
        limit_test: use only so many test samples; None for all.

    Raises:
        ValueError: a share or limit is out of range, or too small for a sample of every class.
    """
    if not 0 < validation < 1:
        raise ImpossiblePartition(f"validation is {validation}; allowed: a share between 0 and 1")
    pool = _limited(raw.train, limit_train, seed, "limit_train")
    held_out, kept = _divide(pool, round(validation * len(pool)), seed, "validation")
    test = _limited(raw.test, limit_test, seed, "limit_test")
    return Partition(raw.name, raw.classes, kept, held_out, test)


def _limited(samples: Arrays, limit: int | None, seed: int, what: str) -> Arrays:
    if limit is None or limit == len(samples):
        return _ascending(samples)
    if not 0 < limit < len(samples):
        raise ImpossiblePartition(
            f"{what} is {limit}; allowed: 1 to {len(samples)}, the samples there are"
        )
    return _divide(samples, limit, seed, what)[0]


def _divide(samples: Arrays, count: int, seed: int, what: str) -> tuple[Arrays, Arrays]:
    """``count`` samples and the rest, both with the class shares of all, ids ascending."""
    _check_divisible(samples.labels, count, what)
    from sklearn.model_selection import train_test_split  # slow to import, needed only here

    chosen, rest = train_test_split(
        np.arange(len(samples)), train_size=count, random_state=seed, stratify=samples.labels
    )
    return _ascending(samples.take(chosen)), _ascending(samples.take(rest))


def _check_divisible(labels: np.ndarray, count: int, what: str) -> None:
    classes, sizes = np.unique(labels, return_counts=True)
    if sizes.min() < 2:
        rare = classes[sizes.argmin()]
        raise ImpossiblePartition(
            f"{what}: class {rare} has 1 sample; dividing by class needs 2 of each"
        )
    if min(count, len(labels) - count) < len(classes):
        division = f"{count} of {len(labels)} samples leave {len(labels) - count}"
        raise ImpossiblePartition(
            f"{what}: {division}; each side needs {len(classes)}, one of each class"
        )


def _ascending(samples: Arrays) -> Arrays:
    return samples.take(np.argsort(samples.ids))

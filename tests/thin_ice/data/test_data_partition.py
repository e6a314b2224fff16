"""Train is split once: disjoint, stratified, seeded, and every sample keeps its id."""

from dataclasses import astuple

import numpy as np
import pytest

from thin_ice.data.partition import partition
from thin_ice.data.raw import Arrays, RawDataset

CLASS_SIZES = (60, 30, 10)


def samples(sizes, first_id, seed):
    """Shuffled samples whose one pixel and label follow from the id, so that a mix-up shows."""
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    ids = first_id + 3 * np.arange(len(labels))
    return Arrays((ids % 256).astype(np.uint8).reshape(-1, 1, 1, 1), labels, ids)


@pytest.fixture
def raw():
    train, test = samples(CLASS_SIZES, 1000, 0), samples(CLASS_SIZES, 7, 1)
    return RawDataset("toy", ("a", "b", "c"), train, test)


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(astuple(first), astuple(second), strict=True))


def test_train_and_validation_are_disjoint_and_together_all(raw):
    parts = partition(raw, 0.2, seed=0)
    ids = np.concatenate([parts.train.ids, parts.validation.ids])
    np.testing.assert_array_equal(np.sort(ids), raw.train.ids)
    assert len(parts.validation) == 20


def test_name_classes_and_test_samples_stay(raw):
    parts = partition(raw, 0.2, seed=0)
    assert (parts.name, parts.classes) == (raw.name, raw.classes)
    assert same(parts.test, raw.test)


@pytest.mark.parametrize("limits", [(None, None), (50, 40)])
def test_samples_keep_id_label_and_image_in_ascending_order(raw, limits):
    parts = partition(raw, 0.2, 0, *limits)
    for part, source in (
        (parts.train, raw.train),
        (parts.validation, raw.train),
        (parts.test, raw.test),
    ):
        assert (np.diff(part.ids) > 0).all()
        assert same(part, source.take(np.searchsorted(source.ids, part.ids)))


def test_every_part_has_the_class_shares_of_its_source(raw):
    parts = partition(raw, 0.2, 0, limit_train=50, limit_test=40)
    assert np.bincount(parts.train.labels).tolist() == [24, 12, 4]
    assert np.bincount(parts.validation.labels).tolist() == [6, 3, 1]
    assert np.bincount(parts.test.labels).tolist() == [24, 12, 4]


def test_the_same_seed_gives_the_same_parts_and_another_seed_others(raw):
    first, again, other = (partition(raw, 0.2, seed, 50, 40) for seed in (5, 5, 6))
    for part in ("train", "validation", "test"):
        assert same(getattr(first, part), getattr(again, part))
        assert not np.array_equal(getattr(first, part).ids, getattr(other, part).ids)


def test_a_limit_of_train_counts_validation_too(raw):
    parts = partition(raw, 0.2, 0, limit_train=50)
    assert (len(parts.train), len(parts.validation), len(parts.test)) == (40, 10, 100)


def test_a_limit_of_all_samples_changes_nothing(raw):
    unlimited, limited = partition(raw, 0.2, 0), partition(raw, 0.2, 0, 100, 100)
    assert same(unlimited.train, limited.train)
    assert same(unlimited.test, limited.test)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit_train": 101}, "limit_train is 101; allowed: 1 to 100"),
        ({"limit_test": 101}, "limit_test is 101; allowed: 1 to 100"),
        ({"limit_test": 0}, "limit_test is 0"),
        ({"limit_train": -5}, "limit_train is -5"),
        ({"limit_test": 2}, "limit_test: 2 of 100 samples leave 98; each side needs 3"),
        ({"limit_test": 98}, "limit_test: 98 of 100 samples leave 2"),
        ({"validation": 0}, "validation is 0; allowed"),
        ({"validation": 1.0}, "validation is 1.0; allowed"),
        ({"validation": 0.01}, "validation: 1 of 100 samples leave 99"),
        ({"validation": 0.99}, "validation: 99 of 100 samples leave 1"),
    ],
)
def test_shares_and_limits_that_cannot_be_met_are_refused(raw, options, message):
    with pytest.raises(ValueError, match=message):
        partition(raw, **{"validation": 0.2, "seed": 0, **options})


def test_a_class_with_one_sample_is_refused(raw):
    rare = RawDataset("toy", raw.classes, samples((60, 30, 1), 0, 0), raw.test)
    with pytest.raises(ValueError, match="class 2 has 1 sample"):
        partition(rare, 0.2, seed=0)

"""Digits: scikit-learn's samples under the ids of their rows, split once by their own seed."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from thin_ice.data.digits import Digits


@pytest.fixture(scope="module")
def digits():
    return Digits().read()


def test_nothing_is_missing():
    assert Digits().missing() is None


def test_the_file_that_it_reads_is_named_alike_on_every_machine():
    ((name, path),) = Digits().sources().items()
    assert name == "scikit-learn/digits.csv.gz"
    rows = np.loadtxt(path, delimiter=",")
    np.testing.assert_array_equal(rows[:, -1], load_digits().target)


def test_every_sample_is_in_train_or_test_under_the_id_of_its_row(digits):
    ids = np.concatenate([digits.train.ids, digits.test.ids])
    np.testing.assert_array_equal(np.sort(ids), np.arange(1797))
    for part in (digits.train, digits.test):
        np.testing.assert_array_equal(part.labels, load_digits().target[part.ids])
        assert (np.diff(part.ids) > 0).all()


def test_grey_levels_0_to_16_are_stretched_to_0_to_255(digits):
    assert digits.train.images.shape[1:] == (1, 8, 8)
    grey = load_digits().images[digits.train.ids][:, None]
    for level in range(17):
        assert set(digits.train.images[grey == level]) == {round(level * 255 / 16)}


def test_the_split_is_stratified_and_of_the_given_share(digits):
    assert len(digits.test) == 719
    shares = np.bincount(digits.test.labels) / np.bincount(load_digits().target)
    assert np.abs(shares - 0.4).max() < 0.01


def test_the_split_depends_on_its_seed_alone(digits):
    np.testing.assert_array_equal(Digits().read().test.ids, digits.test.ids)
    assert not np.array_equal(Digits(split_seed=1).read().test.ids, digits.test.ids)


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 40])
def test_a_share_out_of_range_is_refused(fraction):
    with pytest.raises(ValueError, match="between 0 and 1"):
        Digits(test_fraction=fraction)

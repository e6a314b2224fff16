"""The thin-ice partition: every sample in one set, by what happened to it."""

import numpy as np
import pandas as pd
import pytest

from thin_ice.errors import ThinIceError
from thin_ice.margins.ice import SETS, boundary_distance, compare, partition

TRUTH = [
    (True, True, "kept"),
    (True, False, "lost"),
    (False, True, "rescued"),
    (False, False, "never"),
]


def evaluated(ids, correct, robust=None):
    ids = np.asarray(ids)
    robust = correct if robust is None else robust
    return pd.DataFrame({"sample_id": ids, "label": ids % 10, "correct": correct, "robust": robust})


@pytest.mark.parametrize(("before", "after", "name"), TRUTH)
def test_the_four_sets_are_the_truth_table(before, after, name):
    assert partition(pd.Series([before]), pd.Series([after])).tolist() == [name]


def test_all_four_sets_stay_known_when_some_are_empty():
    sets = partition(pd.Series([True, True]), pd.Series([True, True]))
    assert sets.cat.categories.tolist() == list(SETS)


def test_the_partition_keeps_the_index_of_its_samples():
    before = pd.Series([True, False], index=[7, 3])
    assert partition(before, pd.Series([False, False])).index.tolist() == [7, 3]


def test_samples_are_compared_by_their_id_and_not_by_their_row():
    dense = evaluated([3, 1, 2, 0], [True, True, False, False])
    other = evaluated([0, 1, 2, 3], [False, False, True, True])
    table = compare(dense, other, "clean").set_index("sample_id")
    assert table.set.to_dict() == {3: "kept", 1: "lost", 2: "rescued", 0: "never"}
    assert table.label.to_dict() == {3: 3, 1: 1, 2: 2, 0: 0}


def test_clean_looks_at_clean_and_robust_at_robust_correctness():
    dense = evaluated([0, 1], [True, True], [False, True])
    other = evaluated([0, 1], [True, False], [False, False])
    assert compare(dense, other, "clean").set.tolist() == ["kept", "lost"]
    assert compare(dense, other, "robust").set.tolist() == ["never", "lost"]


@pytest.mark.parametrize("ids", [[0, 1], [0, 1, 2, 3], [0, 1, 9], [0, 1, 1]])
def test_different_samples_are_refused_with_their_numbers(ids):
    dense = evaluated([0, 1, 2], [True] * 3)
    other = evaluated(ids, [True] * len(ids))
    with pytest.raises(ThinIceError, match=f"of 3 and of {len(ids)} samples") as caught:
        compare(dense, other, "clean")
    shared = len({0, 1, 2} & set(ids))
    assert f"with {shared} in common" in str(caught.value)


def test_the_boundary_of_clean_correctness_is_at_zero():
    signed = pd.Series([0.3, -0.1, 0.0, np.inf, -np.inf])
    assert boundary_distance(signed, "clean", 0.2).tolist() == [0.3, 0.1, 0.0, np.inf, np.inf]


def test_the_boundary_of_robust_correctness_is_at_eps():
    signed = pd.Series([0.3, 0.2, 0.05, -0.1, np.inf, -np.inf])
    expected = [0.1, 0.0, 0.15, 0.3, np.inf, np.inf]
    np.testing.assert_allclose(boundary_distance(signed, "robust", 0.2), expected, atol=1e-15)

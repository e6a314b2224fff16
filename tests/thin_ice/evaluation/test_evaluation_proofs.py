"""What was proved, as columns: shares of all test samples, and nothing where nothing was asked."""

import math

import pandas as pd
import pytest

from thin_ice.evaluation.metrics import accuracy
from thin_ice.evaluation.proofs import proof_columns

CERTIFIED = pd.DataFrame(
    {
        "sample_id": range(8),
        "verified": [True, True, False, True, False, False, False, False],
        "smoothed_radius": [0.5, 0.0, -0.5, 1.0, 0.25, 0.125, 0.0, -1.0],
    }
)


def test_verified_and_smoothed_are_shares_of_all_samples_with_their_intervals():
    found = proof_columns(CERTIFIED, 0.1)
    assert found["certification_eps"] == 0.1
    for name, hits in (("verified", 3), ("smoothed", 4)):
        expected = accuracy(pd.Series([True] * hits + [False] * (8 - hits)))
        assert {end: found[f"{name}_{end}"] for end in expected} == expected


def test_without_smoothing_only_its_columns_are_empty():
    found = proof_columns(CERTIFIED.drop(columns="smoothed_radius"), 0.1)
    assert found["verified_percent"] == pytest.approx(37.5)
    empty = {name for name, value in found.items() if math.isnan(value)}
    assert empty == {f"smoothed_{end}" for end in ("percent", "low_percent", "high_percent")}


def test_where_nothing_was_to_be_proved_every_column_is_empty():
    found = proof_columns(None, None)
    assert found.keys() == proof_columns(CERTIFIED, 0.1).keys()
    assert all(math.isnan(value) for value in found.values())

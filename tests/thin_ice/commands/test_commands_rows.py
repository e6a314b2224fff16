"""A table of one row a test sample is taken for these samples only."""

import pandas as pd
import pytest
import torch

from thin_ice.commands.rows import read_rows
from thin_ice.data.split import Split
from thin_ice.errors import ThinIceError

IDS = [3, 5, 8, 9]


@pytest.fixture
def test_split():
    zeros = torch.zeros(4, 1, 2, 2, dtype=torch.uint8)
    return Split(zeros, torch.zeros(4, dtype=torch.int64), torch.tensor(IDS))


def saved(folder, ids):
    pd.DataFrame({"sample_id": ids, "robust": True}).to_parquet(folder / "samples.parquet")
    return folder / "samples.parquet"


def test_the_table_of_these_samples_is_read(tmp_path, test_split):
    assert read_rows(saved(tmp_path, IDS), test_split).sample_id.tolist() == IDS


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        ([3, 5, 8], "has 3 rows, 3 of them"),
        ([3, 5, 8, 7], "has 4 rows, 3 of them"),
        ([5, 3, 8, 9], "has 4 rows, 4 of them"),
        ([3, 3, 5, 8, 9], "has 5 rows, 4 of them"),
    ],
    ids=["fewer", "another", "in another order", "one twice"],
)
def test_rows_of_other_samples_or_in_another_order_are_refused(tmp_path, test_split, ids, said):
    with pytest.raises(ThinIceError, match=f"samples.parquet {said}.*its 4 samples, in its order"):
        read_rows(saved(tmp_path, ids), test_split)


def test_a_table_without_a_column_that_is_needed_is_refused(tmp_path, test_split):
    path = saved(tmp_path, IDS)
    assert read_rows(path, test_split, "robust").robust.all()
    said = "samples.parquet has no column distance_l2; allowed: a table with .*robust, distance_l2"
    with pytest.raises(ThinIceError, match=said):
        read_rows(path, test_split, "robust", "distance_l2")
    pd.DataFrame({"robust": [True] * 4}).to_parquet(path)
    with pytest.raises(ThinIceError, match="has no column sample_id"):
        read_rows(path, test_split, "robust")


@pytest.mark.parametrize("content", [b"", b"not Parquet, though long enough"])
def test_a_file_that_is_no_table_is_refused(tmp_path, test_split, content):
    path = tmp_path / "samples.parquet"
    path.write_bytes(content)
    with pytest.raises(ThinIceError, match=r"samples\.parquet is no readable Parquet file"):
        read_rows(path, test_split)

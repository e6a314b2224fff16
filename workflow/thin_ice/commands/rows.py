"""A finished table of one row a test sample, which has to be about these samples."""

from pathlib import Path

import pandas as pd

from thin_ice.data.split import Split
from thin_ice.errors import ThinIceError


def read_rows(path: Path, test: Split, *columns: str) -> pd.DataFrame:
    """The table of a Parquet file that has ``columns``, in the order of the test split.

    Raises:
        ThinIceError: it is no Parquet file, lacks a column, or has rows of other samples, or in
            another order.
    """
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise ThinIceError(f"{path} is no readable Parquet file: {error}") from None
    wanted = ("sample_id", *columns)
    if lacking := [name for name in wanted if name not in table]:
        raise ThinIceError(
            f"{path} has no column {lacking[0]}; allowed: a table with {', '.join(wanted)}"
        )
    ids = test.ids.tolist()
    if table.sample_id.tolist() != ids:
        shared = len(set(table.sample_id) & set(ids))
        raise ThinIceError(
            f"{path} has {len(table)} rows, {shared} of them of this test split; allowed: a row "
            f"for each of its {len(ids)} samples, in its order"
        )
    return table

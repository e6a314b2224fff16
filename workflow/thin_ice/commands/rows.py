"""A finished table of one row a test sample, which has to be about these samples."""

from pathlib import Path

import pandas as pd

from thin_ice.data.split import Split
from thin_ice.errors import ThinIceError


def read_rows(path: Path, test: Split) -> pd.DataFrame:
    """The table of a Parquet file, in the order of the test split.

    Raises:
        ThinIceError: it has rows of other samples, or in another order.
    """
    table = pd.read_parquet(path)
    ids = test.ids.tolist()
    if table.sample_id.tolist() != ids:
        shared = len(set(table.sample_id) & set(ids))
        raise ThinIceError(
            f"{path} has {len(table)} rows, {shared} of them of this test split; allowed: a row "
            f"for each of its {len(ids)} samples, in its order"
        )
    return table

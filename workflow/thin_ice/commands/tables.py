"""Read and write finished tables."""

from pathlib import Path

import pandas as pd

from thin_ice.files import atomic_path


def write_parquet(path: Path, table: pd.DataFrame) -> None:
    with atomic_path(path) as temporary:
        table.to_parquet(temporary, index=False)


def write_csv(path: Path, table: pd.DataFrame) -> None:
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")

"""The thin-ice table as text: set sizes, median distances, AUROCs with their intervals."""

import math

import pandas as pd

from thin_ice.figures.finished import FEW_SAMPLES
from thin_ice.figures.words import interval, norm_name, number, pair_name
from thin_ice.margins.ice import SETS

HEADER = (
    *("compared with dense", "which is its", "seed", "correctness", "norm", *SETS),
    *(f"median of {name}" for name in SETS),
    *("AUROC lost", "AUROC rescued"),
)


def ice_cells(thin_ice: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Header and rows; the run is a column only where there are several."""
    rows = [_cells(row) for row in thin_ice.to_dict("records")]
    if thin_ice.run.nunique() > 1:
        runs = thin_ice.run
        return ["run", *HEADER], [[run, *row] for run, row in zip(runs, rows, strict=True)]
    return list(HEADER), rows


def _cells(row: dict) -> list[str]:
    return [
        pair_name(row["method"], row["sparsity"]),
        row["dense_is"],
        str(row["seed"]),
        row["correctness"],
        norm_name(row["norm"]),
        *(str(row[f"{name}_samples"]) for name in SETS),
        *(number(float(row[f"{name}_median_distance"]), 4) for name in SETS),
        *(_auroc(row, name) for name in ("lost", "rescued")),
    ]


def _auroc(row: dict, name: str) -> str:
    """With its interval; of too few samples the interval means nothing and is not shown."""
    value = float(row[f"auroc_{name}"])
    if min(row[f"{name}_samples"], row["kept_samples"]) < FEW_SAMPLES:
        return number(value, 2) + " (too few)" * math.isfinite(value)
    return interval(value, float(row[f"auroc_{name}_low"]), float(row[f"auroc_{name}_high"]))

"""The report's table of distance attacks: how near each comes to the envelope."""

from typing import Any

import pandas as pd

from thin_ice.attacks.distance_budgets import column
from thin_ice.figures.words import attack_name, norm_name, number

HEADINGS = ["norm", "attack", "optimality", "nearest (%)", "failed (%)"]
Cells = tuple[list[str], list[list[str]]]


def optimality_cells(optimality: pd.DataFrame, study: dict[str, Any]) -> Cells:
    """Headings and a row a norm and attack; the best first within a norm."""
    names = {column(one): one for one in study["distances"]["attacks"]}
    means = optimality.groupby(["norm", "attack"], sort=True).agg(
        mean=("optimality", "mean"),
        least=("optimality", "min"),
        best=("best_percent", "mean"),
        failed=("failed_percent", "mean"),
    )
    ranked = means.reset_index().sort_values(["norm", "mean"], ascending=[False, False])
    return HEADINGS, [_row(row, names[row.attack]) for row in ranked.itertuples()]


def _row(row: Any, attack: dict[str, Any]) -> list[str]:
    return [
        norm_name(row.norm),
        attack_name(attack["kind"], attack["options"]),
        f"{number(row.mean, 3)} ({number(row.least, 3)})",
        number(row.best),
        number(row.failed),
    ]

"""The headline table: every network's accuracies, seeds averaged; as data and as Markdown."""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from thin_ice.evaluation.outcomes import TRAINED
from thin_ice.figures.indicator_cells import marks, together
from thin_ice.figures.words import listing, number, pair_name, spread

NETWORK = ["run", "method", "sparsity", "protocol"]
AVERAGED = {
    "clean": "clean_percent",
    "claimed": "claimed_percent",
    "autoattack": "autoattack_percent",
    "overestimate": "overestimate_points",
}
FLAGGED = {"claimed": "claimed_flags", "autoattack": "apgd_flags"}


def at_chance(accuracy: pd.DataFrame, classes: Mapping[str, int]) -> pd.Series:
    """Which rows' clean accuracy is not above guessing: its interval reaches 1/classes or below.
    A run whose number of classes is unknown is never said to be at chance.
    """
    guessing = 100 / accuracy.run.map(classes).astype(float)
    return accuracy.clean_low_percent <= guessing


def headline_table(accuracy: pd.DataFrame, classes: Mapping[str, int]) -> pd.DataFrame:
    """One row a run, method, sparsity and protocol, in the table's order: seeds, the sparsity
    reached, mean and standard deviation over seeds (NaN with one), seeds at chance, the kinds of
    AutoAttack's warnings, the samples whose adversarial example was not confirmed, and the
    indicators of attack failure that are raised in any seed.
    """
    origin = accuracy.get("origin", pd.Series(TRAINED, index=accuracy.index))
    marked = accuracy.assign(at_chance=at_chance(accuracy, classes), origin=origin)
    groups = marked.groupby(NETWORK, sort=False)
    columns = {
        "seeds": groups.seed.nunique(),
        "sparsity_reached_percent": 100 * groups.sparsity_of_prunable.mean(),
        "seeds_at_chance": groups.at_chance.sum(),
        "origin": groups.origin.first(),
        "warnings": groups.autoattack_warnings.agg(_kinds),
        "unconfirmed": groups.autoattack_unconfirmed.sum(),
    }
    for name, source in AVERAGED.items():
        columns[f"{name}_mean"] = groups[source].mean()
        columns[f"{name}_sd"] = groups[source].std()
    for source in FLAGGED.values():
        columns[source] = groups[source].agg(together)
    return pd.DataFrame(columns).reset_index()


def headline_cells(table: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Header and rows of text; the run is a column only where there are several."""
    header = ["network", "sparsity reached (%)", "seeds", "clean (%)", "claimed (%)", "by protocol"]
    header += ["AutoAttack (%)", "overestimate (points)", "remark"]
    rows = [_cells(row) for row in table.to_dict("records")]
    if table.run.nunique() > 1:
        return ["run", *header], [[run, *row] for run, row in zip(table.run, rows, strict=True)]
    return header, rows


def _cells(row: dict) -> list[str]:
    values = {name: spread(row[f"{name}_mean"], row[f"{name}_sd"]) for name in AVERAGED}
    for name, flags in FLAGGED.items():
        values[name] += marks(row[flags])
    return [
        pair_name(row["method"], row["sparsity"]),
        number(row["sparsity_reached_percent"], 2),
        str(row["seeds"]),
        values["clean"],
        values["claimed"],
        row["protocol"],
        values["autoattack"],
        values["overestimate"],
        "; ".join(_remarks(row)),
    ]


def _remarks(row: dict) -> Iterator[str]:
    if row["origin"] != TRAINED:  # `as it came`
        yield row["origin"]
    chance, seeds = row["seeds_at_chance"], row["seeds"]
    if chance:
        yield "at chance" if chance == seeds else f"at chance in {chance} of {seeds} seeds"
    if row["warnings"]:
        names = listing([kind.replace("_", " ") for kind in row["warnings"].split(";")])
        yield f"AutoAttack warns: {names}"
    if row["unconfirmed"]:
        yield f"{row['unconfirmed']} unconfirmed"


def kinds_of(warnings: pd.Series) -> list[str]:
    """The kinds of warnings in a column of the accuracy table, each once. A cell has them between
    semicolons; an empty one is NaN when read from a file.
    """
    cells = [cell.split(";") for cell in warnings.dropna().astype(str)]
    return sorted({kind for cell in cells for kind in cell if kind})


def _kinds(warnings: pd.Series) -> str:
    return ";".join(kinds_of(warnings))


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A GitHub table: a row a line, whatever its cells hold."""
    lines = [header, ["---"] * len(header), *rows]
    texts = ["| " + " | ".join(map(_in_line, line)) + " |" for line in lines]
    return "\n".join(texts) + "\n"


def _in_line(cell: str) -> str:
    """A cell's text without what would end the cell or the row."""
    return " ".join(cell.splitlines()).replace("\\", r"\\").replace("|", r"\|")

"""The headline table: every network's accuracies, seeds averaged; as data and as Markdown."""

from collections.abc import Iterator, Sequence

import pandas as pd

from thin_ice.evaluation.collapse import AT_CHANCE, CONSTANT, has
from thin_ice.evaluation.outcomes import TRAINED
from thin_ice.figures.indicator_cells import marks, together
from thin_ice.figures.words import counted, listing, number, pair_name, spread

NETWORK = ["run", "method", "sparsity", "protocol"]
AVERAGED = {
    "clean": "clean_percent",
    "claimed": "claimed_percent",
    "autoattack": "autoattack_percent",
    "overestimate": "overestimate_points",
    "verified": "verified_percent",
}
SIGNS = {
    "seeds_at_chance": "at chance",
    "seeds_constant": "constant prediction",
    "seeds_with_empty_layers": "",
}
NONE = {"none": "–"}
FLAGGED = {"claimed": "claimed_flags", "autoattack": "apgd_flags"}
NOT_NAMED = ("weight", "none")  # units for which a table needs no column
USUAL = ("after", "none")  # and when networks were pruned


def headline_table(accuracy: pd.DataFrame) -> pd.DataFrame:
    """One row a run, method, sparsity and protocol, in the table's order: the unit of pruning,
    seeds, the sparsity reached, mean and standard deviation over seeds (NaN with one), how many
    seeds are at chance, predict one class alone or have an empty layer, the most and the fewest
    layers that are empty in such a one, the kinds of AutoAttack's warnings, the samples whose
    adversarial example was not confirmed, and the indicators of attack failure that are raised in
    any seed.
    """
    marked = accuracy.assign(
        origin=accuracy.get("origin", pd.Series(TRAINED, index=accuracy.index)),
        at_chance=has(accuracy.collapse, AT_CHANCE),
        constant=has(accuracy.collapse, CONSTANT),
        has_empty=accuracy.empty_layers > 0,
    )
    groups = marked.groupby(NETWORK, sort=False)
    columns = {
        "unit": groups.unit.first(),
        "pipeline": groups.pipeline.first(),
        "seeds": groups.seed.nunique(),
        "sparsity_reached_percent": 100 * groups.sparsity_of_prunable.mean(),
        "seeds_at_chance": groups.at_chance.sum(),
        "seeds_constant": groups.constant.sum(),
        "seeds_with_empty_layers": groups.has_empty.sum(),
        "empty_layers": groups.empty_layers.max(),
        "fewest_empty_layers": groups.empty_layers.agg(_fewest),
        "origin": groups.origin.first(),
        "warnings": groups.autoattack_warnings.agg(_kinds),
        "unconfirmed": groups.autoattack_unconfirmed.sum(),
    }
    for name, source in _measured(accuracy).items():
        columns[f"{name}_mean"] = groups[source].mean()
        columns[f"{name}_sd"] = groups[source].std()
    for source in FLAGGED.values():
        columns[source] = groups[source].agg(together)
    return pd.DataFrame(columns).reset_index()


def _measured(accuracy: pd.DataFrame) -> dict[str, str]:
    """What is averaged: nothing was verified in a study that certifies nothing."""
    certified = "verified_percent" in accuracy and accuracy.verified_percent.notna().any()
    return {name: source for name, source in AVERAGED.items() if certified or name != "verified"}


def headline_cells(table: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Header and rows of text; the run is a column only where there are several, the unit only
    where one is not single weights, when it was pruned only where that was not always after
    training, verified accuracy only where something was certified.
    """
    structured = not table.unit.isin(NOT_NAMED).all()
    mixed = not table.pipeline.isin(USUAL).all()
    certified = "verified_mean" in table
    header = ["network", *["unit"] * structured, *["pruned"] * mixed]
    header += ["sparsity reached (%)", "seeds", "clean (%)"]
    header += ["claimed (%)", "by protocol", "AutoAttack (%)", *["verified (%)"] * certified]
    header += ["overestimate (points)", "remark"]
    rows = [_cells(row, structured, mixed) for row in table.to_dict("records")]
    if table.run.nunique() > 1:
        return ["run", *header], [[run, *row] for run, row in zip(table.run, rows, strict=True)]
    return header, rows


def _cells(row: dict, structured: bool, mixed: bool) -> list[str]:
    values = {
        name: spread(row[f"{name}_mean"], row[f"{name}_sd"])
        for name in AVERAGED
        if f"{name}_mean" in row
    }
    for name, flags in FLAGGED.items():
        values[name] += marks(row[flags])
    return [
        pair_name(row["method"], row["sparsity"]),
        *[NONE.get(row["unit"], row["unit"])] * structured,
        *[NONE.get(row["pipeline"], f"{row['pipeline']} training")] * mixed,
        number(row["sparsity_reached_percent"], 2),
        str(row["seeds"]),
        values["clean"],
        values["claimed"],
        row["protocol"],
        values["autoattack"],
        *[values[name] for name in ("verified",) if name in values],
        values["overestimate"],
        "; ".join(_remarks(row)),
    ]


def _remarks(row: dict) -> Iterator[str]:
    if row["origin"] != TRAINED:  # `as it came`
        yield row["origin"]
    varies = row["empty_layers"] > row["fewest_empty_layers"]
    empty = "up to " * varies + counted(row["empty_layers"], "layer") + " empty"
    for column, remark in SIGNS.items():
        if count := row[column]:
            some = f" in {count} of {row['seeds']} seeds" * (count < row["seeds"])
            yield (remark or empty) + some
    if row["warnings"]:
        names = listing([kind.replace("_", " ") for kind in row["warnings"].split(";")])
        yield f"AutoAttack warns: {names}"
    if row["unconfirmed"]:
        yield f"{row['unconfirmed']} unconfirmed"


def _fewest(layers: pd.Series) -> int:
    """The fewest empty layers of a network that has any."""
    return int(layers[layers > 0].min()) if layers.any() else 0


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

"""Indicators of attack failure in tables: marks on flagged cells, their legend, their own table."""

from collections.abc import Iterable, Iterator

import pandas as pd

from thin_ice.evaluation.flags import INDICATORS, LIMITS, NONE
from thin_ice.evaluation.summary import NO_PROTOCOL
from thin_ice.figures.words import number, pair_name

SUPERSCRIPTS = "¹²³⁴⁵⁶"
NAMES = {f"I{n}": name.replace("_", " ") for n, name in enumerate(INDICATORS, 1)}
NETWORK = ["run", "seed", "variant"]
APGD_NAME = "AutoAttack's APGD"


def together(flags: Iterable[str]) -> str:
    """The flags raised in any of several networks, in the same notation."""
    raised = {flag for one in flags for flag in one.split() if flag != NONE}
    return " ".join(sorted(raised)) or NONE


def marks(flags: str) -> str:
    """``I3 I4`` as superscripts after a number; nothing for ``none``."""
    raised = [SUPERSCRIPTS[int(flag[1:]) - 1] for flag in flags.split() if flag != NONE]
    return f" ⁽{' '.join(raised)}⁾" if raised else ""


def legend() -> str:
    """What the marks mean, with the limits above which an indicator is raised."""
    names = [
        f"{mark} {name} ({100 * LIMITS[column]:g} %)"
        for mark, name, column in zip(SUPERSCRIPTS, NAMES.values(), INDICATORS, strict=True)
    ]
    return (
        "Raised numbers mark accuracies whose attack shows signs of having failed for reasons of "
        f"its own, in any seed: {', '.join(names)}. In brackets the share of attacked samples "
        "above which an indicator is raised, for ² the mean relative change of the margin. On "
        "AutoAttack they are those of its APGD on the cross-entropy, one of its attacks."
    )


def indicator_cells(accuracy: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Header and a row a network, seed and attack, values in percent; the run is a column only
    where there are several.
    """
    header = ["network", "seed", "attack", "attacked", *NAMES.values(), "raised"]
    several = accuracy.run.nunique() > 1
    rows = []
    for _, network in accuracy.groupby(NETWORK, sort=False):
        run = [network.run.iloc[0]] * several
        rows += [run + cells for cells in _network(network.to_dict("records"))]
    return ["run"] * several + header, rows


def _network(rows: list[dict]) -> Iterator[list[str]]:
    """Every claimed protocol, then APGD, which stands the same in each row."""
    for row in rows:
        if row["protocol"] != NO_PROTOCOL:
            yield _cells(row, row["protocol"], "claimed")
    yield _cells(rows[0], APGD_NAME, "apgd")


def _cells(row: dict, attack: str, prefix: str) -> list[str]:
    values = [100 * float(row[f"{prefix}_i{n}"]) for n in range(1, len(INDICATORS) + 1)]
    name, attacked = pair_name(row["method"], row["sparsity"]), row["attacked_for_indicators"]
    texts = [number(value) for value in values]
    return [name, str(row["seed"]), attack, str(attacked), *texts, row[f"{prefix}_flags"]]

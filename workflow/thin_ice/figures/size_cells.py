"""The report's table of sizes: what a network's sparsity is worth, each share of the dense one."""

from typing import Any

from thin_ice.figures.more_cells import Column, Row
from thin_ice.figures.words import number, pair_name


def _percent(what: str, version: str) -> Column:
    """A count of one version of the network, in percent of the dense one's."""

    def cell(row: Row) -> str:
        return number(100 * row[f"{what}_{version}"] / row[f"{what}_dense"])

    heading = {"parameters": "parameters", "multiply_accumulates": "MACs", "bytes": "bytes"}[what]
    return f"{heading} {SAID[version]} (%)", cell


def _count(name: str) -> Any:
    return lambda row: f"{int(row[name]):,}"


SAID = {"nonzero": "≠ 0", "compact": "compact", "sparse": "sparse", "stored": "stored"}
SIZES: tuple[Column, ...] = (
    ("network", lambda row: pair_name(row["method"], row["sparsity"])),
    ("seed", lambda row: str(int(row["seed"]))),
    ("parameters", _count("parameters_dense")),
    _percent("parameters", "nonzero"),
    _percent("parameters", "compact"),
    ("MACs", _count("multiply_accumulates_dense")),
    _percent("multiply_accumulates", "nonzero"),
    _percent("multiply_accumulates", "compact"),
    ("bytes", _count("bytes_dense")),
    _percent("bytes", "sparse"),
    _percent("bytes", "compact"),
    _percent("bytes", "stored"),
    ("times smaller", lambda row: number(row["bytes_dense"] / row["bytes_stored"])),
    ("channels kept", lambda row: f"{int(row['channels_kept'])} of {int(row['channels'])}"),
    ("groups emptied", lambda row: str(int(row["groups_without_living_channel"]))),
)

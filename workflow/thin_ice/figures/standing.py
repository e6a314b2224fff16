"""What is left of a study's tables when networks that have collapsed are left out.

The tables and figures of the report show every network. The sentences beside them speak of
methods, and a network that guesses, or answers always the same, says nothing of its method: its
overestimate is nothing minus nothing, and whom it loses is decided by the class.
"""

import pandas as pd

from thin_ice.evaluation.collapse import collapsed
from thin_ice.figures.words import counted
from thin_ice.margins.analysis import DENSE, SECOND_SEED

Tables = dict[str, pd.DataFrame]
NETWORK = ["run", "seed", "variant"]
PAIR = ["run", "seed", "method", "sparsity"]
GROUP = ["run", "method", "sparsity"]  # of tables that average or pool seeds
OF_PAIRS = ("thin_ice", "samples", "predictors", "thickness", "joint", "classes", "movement")
ALL_GONE = "Every pruned network that is compared here has collapsed: nothing can be said of them."


def collapsed_networks(accuracy: pd.DataFrame) -> pd.DataFrame:
    """A row a collapsed network, with the names of the accuracy table."""
    rows = accuracy[collapsed(accuracy)]
    return rows[[*NETWORK, "method", "sparsity"]].drop_duplicates()


def left_out(accuracy: pd.DataFrame) -> str:
    """What a sentence that leaves them out says of it."""
    return f"Left out: {counted(len(collapsed_networks(accuracy)), 'collapsed network')}."


def standing(tables: Tables) -> Tables:
    """Those of the study's tables that change when collapsed networks are left out, by name.

    Every comparison goes that one of them, or a dense network that is one of them, has a part in;
    what averages or pools seeds goes where any seed's network is one. Empty where none collapsed.
    """
    gone = collapsed_networks(tables["accuracy"])
    if gone.empty:
        return {}
    pairs = _pairs_with(tables["thin_ice"], _keys(gone, NETWORK))
    groups = _keys(gone, GROUP) | {(run, *pair) for run, _, *pair in pairs}
    overlap = tables["overlap"]
    for end in ("_a", "_b"):
        overlap = _without(overlap, pairs, ["run", "seed", f"method{end}", f"sparsity{end}"])
    return {name: _without(tables[name], pairs, PAIR) for name in OF_PAIRS} | {
        "overlap": overlap,
        "pies": _without(tables["pies"], groups, GROUP),
        "accuracy": _without(tables["accuracy"], _keys(gone, NETWORK), NETWORK),
        "training": _without(
            _without(tables["training"], _keys(gone, NETWORK), NETWORK), pairs, PAIR
        ),
        "overestimate": _without(tables["overestimate"], _keys(gone, GROUP), GROUP),
    }


def _pairs_with(thin_ice: pd.DataFrame, gone: set[tuple]) -> set[tuple]:
    """The compared pairs of which one side is gone."""
    found = set()
    for row in thin_ice[[*PAIR, "other"]].drop_duplicates().itertuples():
        other = (row.run, row.seed, row.other)
        if row.method == SECOND_SEED:  # its other side is called `dense, seed 1`
            other = (row.run, int(row.other.rpartition(" ")[2]), DENSE)
        if {other, (row.run, row.seed, DENSE)} & gone:
            found.add((row.run, row.seed, row.method, row.sparsity))
    return found


def _keys(table: pd.DataFrame, columns: list[str]) -> set[tuple]:
    return set(table[columns].itertuples(index=False, name=None))


def _without(table: pd.DataFrame, gone: set[tuple], columns: list[str]) -> pd.DataFrame:
    if table.empty or not gone:
        return table
    marked = pd.DataFrame(sorted(gone), columns=columns).assign(gone=True)
    found = table[columns].merge(marked, on=columns, how="left").gone.notna()
    return table[~found.to_numpy()].reset_index(drop=True)

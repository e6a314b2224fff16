"""How much each published protocol claims above AutoAttack."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from thin_ice.figures.finished import Finished
from thin_ice.figures.layout import AXIS, blank, head, key, panels
from thin_ice.figures.theme import REFERENCE, method_colours
from thin_ice.figures.words import pair_name
from thin_ice.margins.analysis import DENSE

ROW = 0.3  # inches a network
LONG = 32  # letters of a network's name, beside which two panels find no room
COLUMNS = ["run", "method", "sparsity", "seed", "protocol", "overestimate_points"]
TITLE = "Overestimate: claimed robust accuracy minus AutoAttack"


def table(finished: Finished) -> pd.DataFrame:
    """One row a network and claimed protocol; dense networks are attacked by every protocol,
    and one of which nothing is claimed is left out.
    """
    return finished.accuracy[COLUMNS].dropna(subset="overestimate_points").reset_index(drop=True)


def draw(points: pd.DataFrame, finished: Finished) -> Figure:
    """A panel a run; rows are networks, every seed a point, a bar at the mean."""
    runs = [run for run in finished.runs if run in set(points.run)]
    networks = points.drop_duplicates(["run", "method", "sparsity", "protocol"])
    columns = 1 if max(map(len, _names(networks))) > LONG else min(2, len(runs))
    lines = networks.groupby("run").size().max()
    count = -(-len(runs) // columns)
    figure, axes = panels([lines * ROW + AXIS] * count, columns)
    colours = method_colours(finished.methods)
    for run, ax in zip(runs, axes.flat, strict=False):
        _panel(ax, points[points.run == run], colours)
        ax.set_title(run if len(runs) > 1 else "")
    blank(axes.flat[len(runs) :])
    seed = key("one seed", marker="o", color=REFERENCE)
    head(figure, TITLE, [seed, key("mean over seeds", marker="|", ms=13, mew=2, color=REFERENCE)])
    return figure


def _panel(ax: Axes, points: pd.DataFrame, colours: dict[str, str]) -> None:
    """Networks in the table's order, the first on top."""
    groups = list(points.groupby(["method", "sparsity", "protocol"], sort=False))
    names = _names(points.drop_duplicates(["method", "sparsity", "protocol"]))
    for place, ((method, *_), here) in enumerate(groups):
        values, colour = here.overestimate_points, colours[method]
        ax.scatter(values, [place] * len(here), color=colour, alpha=0.7, s=28, zorder=3)
        ax.scatter(values.mean(), place, marker="|", color=colour, s=260, linewidth=2, zorder=4)
    ax.axvline(0, color=REFERENCE, linewidth=1)
    ax.set_yticks(range(len(names)), names)
    ax.set(ylim=(len(names) - 0.4, -0.6), xlabel="overestimate (percentage points)")
    if dense := sum(method == DENSE for (method, *_), _ in groups):
        ax.axhline(dense - 0.5, color="#bbbbbb", linewidth=0.8)


def _names(networks: pd.DataFrame) -> list[str]:
    return [
        f"{pair_name(row.method, row.sparsity)} ({row.protocol})" for row in networks.itertuples()
    ]

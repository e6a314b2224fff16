"""Whom pruning loses by class: the share lost of each class's samples, and that of the controls."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from thin_ice.evaluation.proportions import percent_with_interval
from thin_ice.figures.by_method import by_method
from thin_ice.figures.finished import Finished, Pair
from thin_ice.figures.layout import head, key, network_keys
from thin_ice.figures.theme import REFERENCE, network_looks
from thin_ice.margins.analysis import CONTROLS

PAIR = ["run", "correctness", "method", "sparsity", "label"]
SEEDS = ("least_percent", "most_percent")
COLUMNS = [*PAIR, "seeds", "right", "lost", "lost_percent", "low", "high", *SEEDS]
BARS = 0.8  # of the room of a class
LABELS = 20  # of classes on an axis at most
TITLE = "Share lost of the samples that the dense network has right, by class"


def table(finished: Finished) -> pd.DataFrame:
    """One row a pair (seeds pooled), kind of correctness and class: the samples that the dense
    networks have right, how many are lost, their share in percent with its 95 % Wilson interval,
    and the least and most of the seeds. A class of which nothing is right has no share.
    """
    if finished.classes.empty:
        return pd.DataFrame(columns=COLUMNS)
    groups = finished.classes.groupby(PAIR, sort=False)
    rows = groups.agg(
        seeds=("seed", "nunique"),
        right=("right", "sum"),
        lost=("lost", "sum"),
        least_percent=("lost_percent", "min"),
        most_percent=("lost_percent", "max"),
    ).reset_index()
    shares = percent_with_interval(rows.lost, rows.right, ("lost_percent", "low", "high"))
    return rows.assign(**shares)[COLUMNS]


def draw(rows: pd.DataFrame, finished: Finished) -> Figure:
    """A row of panels a run and method, a column a kind of correctness; a bar a sparsity, with the
    controls as marks on the class.
    """
    looks = network_looks(finished.all_pairs)

    def panel(ax: Axes, run: str, method: str, view: str) -> None:
        here = rows[(rows.run == run) & (rows.correctness == view)]
        _panel(ax, here[here.method == method], here[here.method.isin(CONTROLS)], looks)

    figure = by_method(finished, 2.4, panel, "class", "share lost (%)")
    keys = network_keys(finished.all_pairs, markersize=6)
    bar = key("bars: 95 % interval, seeds pooled", marker="|", ms=11, mew=1.2, color=REFERENCE)
    head(figure, TITLE, [*keys, bar])
    return figure


def _panel(
    ax: Axes, pruned: pd.DataFrame, controls: pd.DataFrame, looks: dict[Pair, dict[str, str]]
) -> None:
    networks = list(pruned.groupby(["method", "sparsity"]))
    width = BARS / max(len(networks), 1)
    for place, (pair, rows) in enumerate(networks):
        at = rows["label"] + (place - (len(networks) - 1) / 2) * width
        errors = np.maximum([rows.lost_percent - rows.low, rows.high - rows.lost_percent], 0)
        line = {"elinewidth": 0.8, "ecolor": REFERENCE}
        ax.bar(
            *(at, rows.lost_percent, width * 0.94),
            color=looks[pair]["color"],
            yerr=errors,
            error_kw=line,
        )
    for pair, rows in controls.groupby(["method", "sparsity"]):
        ax.plot(rows["label"], rows.lost_percent, linestyle="none", ms=6, mew=1.4, **looks[pair])
    labels = sorted({*pruned["label"], *controls.label})
    step = -(-len(labels) // LABELS) or 1
    ax.set_xticks(labels[::step], [str(label) for label in labels[::step]])
    ax.set_ylim(bottom=0)
    ax.grid(axis="x", visible=False)

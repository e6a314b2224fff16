"""Accuracy before and after pruning: clean, as claimed, and under AutoAttack."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from thin_ice.figures.finished import Finished
from thin_ice.figures.layout import AXIS, blank, head, key, panels, wrapped
from thin_ice.figures.theme import MEASURE_COLOURS, MEASURE_MARKERS
from thin_ice.figures.words import titled
from thin_ice.margins.analysis import DENSE, DENSE_AGAIN

MEASURES = ("clean", "claimed", "autoattack")
NAMES = {"clean": "clean", "claimed": "claimed (own protocol)", "autoattack": "AutoAttack"}
COLUMNS = 4
NETWORK = ["run", "method", "variant", "sparsity", "seed", "protocol"]
TITLE = "Clean, claimed and AutoAttack accuracy"


def table(finished: Finished) -> pd.DataFrame:
    """One row a network and measure, in percent. The dense network stands once under each method
    of its run, claimed by that method's protocol; where nothing is pruned, under its own name.
    """
    accuracy = finished.accuracy[finished.accuracy.method != DENSE_AGAIN]
    pruned = accuracy[accuracy.method != DENSE]
    own = pruned[["run", "method", "protocol"]].drop_duplicates()
    dense = accuracy[accuracy.method == DENSE]
    alone = dense[~dense.run.isin(pruned.run)]
    under = own.merge(dense.drop(columns="method"), on=["run", "protocol"])
    parts = [part for part in (under, pruned, alone) if len(part)]
    both = pd.concat(parts, ignore_index=True)
    return pd.concat([_measure(both, name) for name in MEASURES], ignore_index=True)


def _measure(networks: pd.DataFrame, name: str) -> pd.DataFrame:
    parts = ("percent", "low_percent", "high_percent")
    values = networks[[*NETWORK, *(f"{name}_{part}" for part in parts)]]
    return values.set_axis([*NETWORK, *parts], axis=1).assign(measure=name)


def draw(points: pd.DataFrame, finished: Finished) -> Figure:
    """A panel a run and method: every seed a point, a line through the means."""
    groups = [
        [(run, name) for name in (*finished.methods, DENSE) if name in set(here.method)]
        for run, here in points.groupby("run", sort=False)
    ]
    rows = wrapped(groups, COLUMNS)
    columns = max(2, *(len(row) for row in rows)) if rows else 1
    figure, axes = panels([2.2 + AXIS] * max(len(rows), 1), columns)
    for row, places in zip(rows, axes, strict=False):
        for (run, method), ax in zip(row, places, strict=False):
            here = points[(points.run == run) & (points.method == method)]
            _panel(ax, here)
            ax.set_title(titled(run, method, finished.runs))
        places[0].set_ylabel("correct test samples (%)")
        blank(places[len(row) :])
    blank(axes[len(rows) :].flat)
    head(figure, TITLE, [_key(name) for name in MEASURES])
    return figure


def _panel(ax: Axes, points: pd.DataFrame) -> None:
    levels = sorted(points.sparsity.unique())
    placed = points.assign(place=points.sparsity.map({s: i for i, s in enumerate(levels)}))
    looks = {"x": "place", "y": "percent", "hue": "measure", "palette": MEASURE_COLOURS}
    sns.lineplot(placed, errorbar=None, ax=ax, legend=False, **looks)
    sns.scatterplot(
        placed, style="measure", markers=MEASURE_MARKERS, alpha=0.75, ax=ax, legend=False, **looks
    )
    ax.set(ylim=(-3, 103), xlim=(-0.3, max(len(levels), 2) - 0.7), xlabel="sparsity", ylabel="")
    ax.set_xticks(np.arange(len(levels)), [f"{s:g}" if s else DENSE for s in levels])


def _key(name: str) -> Line2D:
    looks = {"color": MEASURE_COLOURS[name], "marker": MEASURE_MARKERS[name], "linestyle": "-"}
    return key(NAMES[name], **looks)

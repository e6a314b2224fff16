"""Does distance on the dense network tell which samples are lost? A forest of AUROCs."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from thin_ice.figures.finished import FEW_SAMPLES, Finished
from thin_ice.figures.layout import AXIS, head, key, panels
from thin_ice.figures.theme import FADED, REFERENCE, method_colours
from thin_ice.figures.words import pair_name, titled, view_name

LINE = 0.16  # inches a seed, and between pairs
COLUMNS = [
    *("run", "method", "sparsity", "seed", "other", "correctness", "norm"),
    *("kept_samples", "lost_samples", "auroc_lost", "auroc_lost_low", "auroc_lost_high"),
]
TITLE = "AUROC of distance for lost against kept samples"


def table(finished: Finished) -> pd.DataFrame:
    """One row a pair and kind of correctness: the AUROC of distance for lost against kept, its
    interval, and whether there are too few samples to say anything.
    """
    rows = finished.main_pairs[COLUMNS].reset_index(drop=True)
    return rows.assign(too_few=rows[["kept_samples", "lost_samples"]].min(axis=1) < FEW_SAMPLES)


def draw(rows: pd.DataFrame, finished: Finished) -> Figure:
    """A row of panels a run, a column a kind of correctness; each pair a line a seed."""
    runs = [run for run in finished.runs if finished.pairs(run)]
    stride = rows.seed.nunique() + 1
    heights = [len(finished.pairs(run)) * stride * LINE + AXIS + 0.3 for run in runs]
    figure, axes = panels(heights, len(finished.views))
    rows = rows.assign(place=_places(rows, finished, stride))
    colours = method_colours(finished.methods)
    for run, across in zip(runs, axes, strict=True):
        names = [pair_name(*pair) for pair in finished.pairs(run)]
        for view, ax in zip(finished.views, across, strict=True):
            _panel(ax, rows[(rows.run == run) & (rows.correctness == view)], colours)
            _frame(ax, names, stride)
            ax.set_title(titled(run, view_name(view, finished.eps), finished.runs))
        for ax in across[1:]:
            ax.set_yticklabels([])
    head(figure, TITLE, _keys())
    return figure


def _places(rows: pd.DataFrame, finished: Finished, stride: int) -> list[int]:
    """The line of each row: pairs in order from the top, seeds rising, a blank line between."""
    order = {run: finished.pairs(run) for run in finished.runs}
    seeds = sorted(rows.seed.unique())
    names = zip(rows.run, rows.method, rows.sparsity, rows.seed, strict=True)
    return [order[run].index((m, s)) * stride + seeds.index(seed) for run, m, s, seed in names]


def _panel(ax: Axes, rows: pd.DataFrame, colours: dict[str, str]) -> None:
    """Intervals, points (hollow where there are too few samples) and how many are lost."""
    for row in rows.itertuples():
        colour = FADED if row.too_few else colours[row.method]
        ax.plot([row.auroc_lost_low, row.auroc_lost_high], [row.place] * 2, color=colour, lw=1.4)
        face = "white" if row.too_few else colour
        ax.scatter(row.auroc_lost, row.place, s=26, color=face, edgecolor=colour, zorder=3)
        text = {"fontsize": 7, "color": colour, "va": "center", "clip_on": False}
        ax.text(1.045, row.place, f"{row.lost_samples}", **text)


def _frame(ax: Axes, names: list[str], stride: int) -> None:
    """Axes from 0 to 1 with the chance line, a name a pair, and a heading over the counts."""
    ax.axvline(0.5, color=REFERENCE, linestyle="--", linewidth=1)
    ax.set_yticks(np.arange(len(names)) * stride + (stride - 2) / 2, names)
    ax.set(xlim=(-0.03, 1.03), ylim=(len(names) * stride - 1, -1.4), xlabel="AUROC of distance")
    ax.grid(axis="y", visible=False)
    ax.text(1.045, -1.4, "n lost", fontsize=7, va="bottom", color=FADED)


def _keys() -> list[Line2D]:
    few = f"fewer than {FEW_SAMPLES} lost or kept: too few to say"
    return [
        key("one seed, 95 % interval", marker="o", linestyle="-", color=REFERENCE),
        key(few, marker="o", linestyle="-", mfc="white", color=FADED),
        key("chance", linestyle="--", color=REFERENCE),
    ]

"""Do different networks lose the same samples? Jaccard indices of lost sets, and by chance."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from thin_ice.figures.finished import Finished, Pair
from thin_ice.figures.layout import AXIS, head, key, panels
from thin_ice.figures.words import number, pair_name, titled, view_name
from thin_ice.margins.analysis import CONTROLS

PAIR = ["run", "correctness", "method_a", "sparsity_a", "method_b", "sparsity_b"]
MEANS = ("jaccard", "jaccard_by_chance")
COLUMNS = [*PAIR, "seeds", *MEANS]
HEADINGS = {"jaccard": "Jaccard index of lost sets", "jaccard_by_chance": "expected by chance"}
CELL = 0.42  # inches a network, less where there are many
NARROW = 0.115  # and never less than a readable name takes
ACROSS = 4.2  # inches a panel
NAMES = (6.5, 8)  # points of a network's name, least and most
WRITTEN = 14  # up to so many networks have their numbers in the cells
COLOURS = "cividis"  # of even lightness, made for all kinds of colour vision
TITLE = "Overlap of the sets of lost samples, mean over seeds"


def table(finished: Finished) -> pd.DataFrame:
    """One row a run, kind of correctness and two networks: the Jaccard index of their lost sets
    and what sets of these sizes would have by chance, means over the seeds in which either loses
    something.
    """
    if finished.overlap.empty:
        return pd.DataFrame(columns=COLUMNS)
    groups = finished.overlap.groupby(PAIR, sort=False)
    means = groups[list(MEANS)].mean()
    return means.assign(seeds=groups.jaccard.count()).reset_index()[COLUMNS]


def draw(rows: pd.DataFrame, finished: Finished) -> Figure:
    """A row of panels a run and kind of correctness: what is seen, and what chance would give."""
    groups = list(rows.groupby(["run", "correctness"], sort=False))
    networks = [_networks(finished, here) for _, here in groups]
    heights = [_height(len(names)) + 2.2 * AXIS for names in networks]
    figure, axes = panels(heights, len(MEANS))
    for ((run, view), here), names, across in zip(groups, networks, axes, strict=True):
        for measure, ax in zip(MEANS, across, strict=True):
            values = _matrix(here, names, measure)
            picture = _panel(ax, values, [pair_name(*pair) for pair in names])
            text = f"{view_name(view, finished.eps)}\n{HEADINGS[measure]}"
            ax.set_title(titled(run, text, finished.runs), fontsize="small")
        across[1].set_yticklabels([])
        figure.colorbar(picture, ax=list(across), label="Jaccard index", fraction=0.03)
    head(figure, TITLE, [key("1: the same samples, 0: none in common; a blank cell: nothing lost")])
    return figure


def _height(count: int) -> float:
    return max(1.6, min(CELL * count, 4.6), NARROW * count)


def _networks(finished: Finished, rows: pd.DataFrame) -> list[Pair]:
    """Methods in order, sparsity rising, controls last."""
    ends = [zip(rows[f"method_{one}"], rows[f"sparsity_{one}"], strict=True) for one in "ab"]
    order = [*finished.methods, *CONTROLS]
    return sorted({*ends[0], *ends[1]}, key=lambda pair: (order.index(pair[0]), pair[1]))


def _matrix(rows: pd.DataFrame, names: list[Pair], measure: str) -> np.ndarray:
    values = np.full((len(names), len(names)), np.nan)
    for row in rows.itertuples():
        a = names.index((row.method_a, row.sparsity_a))
        b = names.index((row.method_b, row.sparsity_b))
        values[a, b] = values[b, a] = getattr(row, measure)
    return values


def _panel(ax: Axes, values: np.ndarray, names: list[str]) -> object:
    picture = ax.imshow(values, cmap=COLOURS, vmin=0, vmax=1, aspect="auto")
    room = 0.85 * 72 * ACROSS / len(names)
    size = float(np.clip(room, *NAMES))
    every = math.ceil(size / room)  # all names stand at the side
    ax.set_xticks(range(0, len(names), every), names[::every], rotation=90, fontsize=size)
    ax.set_yticks(range(len(names)), names, fontsize=size)
    ax.grid(visible=False)
    if len(names) <= WRITTEN:
        for (a, b), value in np.ndenumerate(values):
            colour = "black" if value > 0.55 else "white"
            text = "" if np.isnan(value) else number(value, 2)
            ax.text(b, a, text, ha="center", va="center", fontsize=7, color=colour)
    return picture

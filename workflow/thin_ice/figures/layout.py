"""Where panels go: figures grow downwards, and legends stand above the panels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from thin_ice.figures.theme import DPI, FADED, WIDTH, network_looks
from thin_ice.figures.words import CONTROL_NAMES

HEADER = 0.8  # inches for title and legend
KEYS_A_LINE = 5
MARGINS = (0.65, 0.55, 0.15, 0.45)  # inches left, below, right and above each of many panels
AXIS = 0.6  # inches for ticks and label below the panels


def panels(
    heights: Sequence[float], columns: int, share_x: bool | str = False
) -> tuple[Figure, np.ndarray]:
    """A figure of ``len(heights)`` rows of panels, each row ``heights`` inches high, and its axes,
    an array (rows, columns).
    """
    figure = Figure(figsize=(WIDTH, sum(heights) + HEADER), dpi=DPI, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.05)
    axes = figure.subplots(
        len(heights), columns, squeeze=False, sharex=share_x, height_ratios=list(heights)
    )
    return figure, axes


def many_panels(rows: int, columns: int, height: float) -> tuple[Figure, np.ndarray]:
    """As `panels`, for hundreds of small ones that are all alike: their places are reckoned, since
    a layout that measures every text takes minutes for so many.
    """
    size = (WIDTH, rows * height + HEADER)
    figure = Figure(figsize=size, dpi=DPI)
    axes = figure.subplots(rows, columns, squeeze=False)
    across, down = WIDTH / columns, height
    for (row, column), ax in np.ndenumerate(axes):
        left, bottom, right, top = MARGINS
        x, y = column * across + left, (rows - 1 - row) * down + bottom
        inches = np.array([x, y, across - left - right, down - bottom - top])
        ax.set_position(inches / [*size, *size])
    return figure, axes


def wrapped(groups: Sequence[Sequence[Any]], columns: int) -> list[list[Any]]:
    """Rows of at most ``columns`` items; each group starts a new row."""
    return [
        list(group[start : start + columns])
        for group in groups
        for start in range(0, len(group), columns)
    ]


def blank(axes: Sequence[Axes]) -> None:
    """Leave unused places of a grid empty."""
    for ax in axes:
        ax.set_axis_off()


def note(ax: Axes, text: str) -> None:
    """A word in the middle of a panel that has nothing to draw."""
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=FADED)


def empty(title: str, why: str) -> Figure:
    """A figure that has nothing to draw, and says so."""
    figure, axes = panels([AXIS], 1)
    blank(axes.flat)
    note(axes[0, 0], why)
    head(figure, title, [key("")])
    return figure


def key(label: str, **looks: Any) -> Line2D:
    """One entry of a legend."""
    return Line2D([], [], label=label, **{"linestyle": "none", **looks})


def network_keys(pairs: Sequence[tuple[str, float]], **looks: Any) -> list[Line2D]:
    """An entry a sparsity and control, as `theme.network_looks` has them."""
    entries = {}
    for (method, sparsity), look in network_looks(pairs).items():
        name = CONTROL_NAMES.get(method) or f"sparsity {sparsity:g}"
        entries[name] = key(name, **looks, **look)
    return list(entries.values())


def head(figure: Figure, title: str, keys: list[Line2D]) -> None:
    """The figure's title and, beneath it, its legend: one block above all panels."""
    figure.legend(
        handles=keys,
        title=title,
        loc="outside upper left",
        alignment="left",
        ncols=min(len(keys), KEYS_A_LINE),
        frameon=False,
        borderpad=0.2,
        title_fontproperties={"weight": "bold", "size": "large"},
    )

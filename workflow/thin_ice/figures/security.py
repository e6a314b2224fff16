"""Security curves: robust accuracy against eps from distances, with AutoAttack's points on top."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from thin_ice.figures.finished import Finished
from thin_ice.figures.layout import AXIS, blank, head, key, panels, wrapped
from thin_ice.figures.theme import ALARM, FADED, REFERENCE, method_colours
from thin_ice.figures.words import CONTROL_NAMES, distance_unit, titled
from thin_ice.margins.analysis import DENSE, DENSE_AGAIN

COLUMNS = 3
STYLES = ((0, ()), (0, (5, 1.6)), (0, (1.4, 1.4)), (0, (5, 1.4, 1.2, 1.4)))
NETWORK = ["run", "method", "sparsity", "seed"]
DODGE = 0.016  # of the axis, between AutoAttack's points, which all stand at one eps
SPREAD = 0.2  # of the axis, that all of them take at most
CONTROL_WIDTH = 0.6  # of the curves of dense networks that were fine-tuned again
TITLE = "Security curves: robust accuracy by distance, and AutoAttack's as a check"


def table(finished: Finished) -> pd.DataFrame:
    """One row a network and radius: robust accuracy from distances, the share of samples without a
    found flip in it; at the study's eps AutoAttack's accuracy, and whether the curve is above it.
    """
    return finished.curves.drop(columns="variant").reset_index(drop=True)


def draw(curves: pd.DataFrame, finished: Finished) -> Figure:
    """A panel a run and method, with its dense networks, or with these alone; a line a network."""
    groups = [
        [(run, m) for m in finished.methods if m in set(here.method)] or [(run, DENSE)]
        for run, here in curves.groupby("run", sort=False)
    ]
    rows = wrapped(groups, COLUMNS)
    columns = max(2, *(len(row) for row in rows)) if rows else 1
    figure, axes = panels([2.9 + AXIS] * max(len(rows), 1), columns)
    for row, places in zip(rows, axes, strict=False):
        for (run, method), ax in zip(row, places, strict=False):
            beside = [DENSE, DENSE_AGAIN, method]
            here = curves[(curves.run == run) & curves.method.isin(beside)]
            _panel(ax, here, finished, method)
            ax.set_title(titled(run, method, finished.runs))
        places[0].set_ylabel("robust test samples (%)")
        blank(places[len(row) :])
    blank(axes[len(rows) :].flat)
    head(figure, TITLE, _keys(curves, finished))
    return figure


def _panel(ax: Axes, curves: pd.DataFrame, finished: Finished, method: str) -> None:
    styles, colours = line_styles(curves), method_colours(finished.methods)
    networks = list(curves.groupby(NETWORK[1:], sort=False))
    farthest = curves.eps.max()
    step = min(DODGE, SPREAD / len(networks)) * farthest
    ax.axvline(finished.eps, color=FADED, linestyle=":", linewidth=1, zorder=1)
    for place, ((name, sparsity, _), curve) in enumerate(networks):
        width = CONTROL_WIDTH if name == DENSE_AGAIN else 1.5
        looks = {"color": colours[name], "linestyle": styles[sparsity], "linewidth": width}
        ax.plot(curve.eps, curve.robust_percent, alpha=0.85, **looks)
        offset = (place - (len(networks) - 1) / 2) * step
        face = "white" if name == DENSE_AGAIN else colours[name]
        _check(ax, curve[curve.above_autoattack.notna()], offset, colours[name], face)
    half = len(networks) / 2 * step
    limits = min(0, finished.eps - half), max(farthest, finished.eps + half)
    ax.set(xlim=limits, ylim=(-2, 102))
    ax.set_xlabel(f"ε ({distance_unit(finished.study['threat']['norm'])})")


def _check(ax: Axes, rows: pd.DataFrame, offset: float, colour: str, face: str) -> None:
    """AutoAttack's accuracy and interval; ringed where the curve lies above it."""
    edge = colour if face == "white" else "white"
    square = {"fmt": "s", "ms": 4.2, "mec": edge, "mew": 0.6, "mfc": face}
    for row in rows.itertuples():
        x, y = row.eps + offset, row.autoattack_percent
        bar = [[y - row.autoattack_low_percent], [row.autoattack_high_percent - y]]
        ax.errorbar(
            *(x, y, bar),
            **square,
            **{"capsize": 2, "elinewidth": 1.1},
            color=colour,
            zorder=4,
        )
        if row.above_autoattack == "yes":
            ax.plot(x, y, "o", ms=13, mfc="none", mec=ALARM, mew=1.8, zorder=5)


def line_styles(curves: pd.DataFrame) -> dict[float, tuple]:
    """A line style a sparsity, dense solid."""
    pruned = sorted(set(curves.sparsity[~curves.method.isin([DENSE, DENSE_AGAIN])]))
    styles = {s: STYLES[index % len(STYLES)] for index, s in enumerate(pruned)}
    return {0.0: STYLES[0], **styles}


def _keys(curves: pd.DataFrame, finished: Finished) -> list[Line2D]:
    pruned = {s: style for s, style in line_styles(curves).items() if s}
    lines = [key(f"sparsity {s:g}", linestyle=style, color=FADED) for s, style in pruned.items()]
    check = {"marker": "s", "ms": 4.2, "color": FADED}
    again = CONTROL_NAMES[DENSE_AGAIN]
    keys = [
        key(DENSE, linestyle="-", color=REFERENCE),
        *[key(again, linestyle="-", linewidth=CONTROL_WIDTH, color=REFERENCE)]
        * bool((curves.method == DENSE_AGAIN).any()),
        *lines,
        key("AutoAttack at ε, 95 % interval (set apart sideways)", **check),
    ]
    if np.any(curves.above_autoattack == "yes"):
        ring = {"marker": "o", "ms": 9, "mfc": "none", "color": ALARM}
        keys.append(key("the curve lies above that interval", **ring))
    return keys

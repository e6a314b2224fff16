"""Robust accuracy against eps from both sides: what is proved, and what attacks left standing."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from thin_ice.evaluation.certified_curves import BOUNDS
from thin_ice.figures.finished import Finished
from thin_ice.figures.layout import blank, head, key, many_panels, wrapped
from thin_ice.figures.theme import ALARM, FADED, MEASURE_COLOURS
from thin_ice.figures.words import distance_unit, pair_name, titled

COLUMNS = 3
HEIGHT = 2.5  # inches a panel
UNKNOWN = "#D9D9D9"
ATTACKED, PROVED = MEASURE_COLOURS["autoattack"], MEASURE_COLOURS["verified"]
TITLE = "Robust accuracy: proved, and as far as attacks can tell"


def table(finished: Finished) -> pd.DataFrame:
    """One row a network and radius in the threat model's norm: the share of samples that are proved
    robust there, and of those that no attack flipped within it.
    """
    if finished.certified.empty:
        return finished.certified
    rows = finished.certified[finished.certified.proof == BOUNDS]
    return rows.drop(columns="proof").reset_index(drop=True)


def draw(rows: pd.DataFrame, finished: Finished) -> Figure:
    """A panel a network, its seeds in one: the lower curves proved, the upper ones attacked."""
    groups = [
        list(here.groupby(["run", "method", "sparsity"], sort=False))
        for _, here in rows.groupby("run", sort=False)
    ]
    lines = wrapped(groups, COLUMNS)
    figure, axes = many_panels(len(lines), COLUMNS, HEIGHT)
    for line, places in zip(lines, axes, strict=True):
        for ((run, *pair), here), ax in zip(line, places, strict=False):
            _panel(ax, here, finished)
            ax.set_title(titled(run, pair_name(*pair), finished.runs))
        places[0].set_ylabel("test samples (%)")
        blank(places[len(line) :])
    head(figure, TITLE, _keys(rows))
    return figure


def _panel(ax: Axes, rows: pd.DataFrame, finished: Finished) -> None:
    for _, curve in rows.groupby("seed"):
        proved, attacked = curve.certified_percent, curve.robust_percent
        ax.fill_between(curve.eps, proved, attacked, color=UNKNOWN, alpha=0.6, linewidth=0)
        ax.plot(curve.eps, attacked, color=ATTACKED, linewidth=1.4)
        ax.plot(curve.eps, proved, color=PROVED, linewidth=1.4, linestyle=(0, (5, 1.2)))
        wrong = curve[proved > attacked]
        ax.plot(wrong.eps, wrong.certified_percent, "o", ms=7, mfc="none", mec=ALARM, mew=1.6)
    ax.axvline(finished.eps, color=FADED, linestyle=":", linewidth=1, zorder=1)
    ax.set(xlim=(0, rows.eps.max()), ylim=(-2, 102))
    ax.set_xlabel(f"ε ({distance_unit(finished.study['threat']['norm'])})", fontsize="small")


def _keys(rows: pd.DataFrame) -> list[Line2D]:
    keys = [
        key("not broken by any attack", linestyle="-", color=ATTACKED),
        key("proved robust", linestyle=(0, (5, 1.2)), color=PROVED),
        key("unknown", marker="s", ms=10, color=UNKNOWN),
        key("the study's ε", linestyle=":", color=FADED),
    ]
    if (rows.certified_percent > rows.robust_percent).any():
        ring = {"marker": "o", "ms": 7, "mfc": "none", "color": ALARM, "mew": 1.6}
        keys.append(key("proved and yet broken", **ring))
    return keys

"""Certified accuracy of the smoothed networks against the L2 radius."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from thin_ice.evaluation.certified_curves import SMOOTHING
from thin_ice.figures.finished import Finished
from thin_ice.figures.layout import AXIS, blank, head, key, panels, wrapped
from thin_ice.figures.security import line_styles
from thin_ice.figures.theme import FADED, REFERENCE, method_colours
from thin_ice.figures.words import CONTROL_NAMES, distance_unit, titled
from thin_ice.margins.analysis import DENSE, DENSE_AGAIN

COLUMNS = 3
CONTROL_WIDTH = 0.6  # of the curves of dense networks that were fine-tuned again
TITLE = "Certified accuracy of the smoothed networks"


def table(finished: Finished) -> pd.DataFrame:
    """One row a network and radius: the share of samples that the smoothed network classifies
    correctly within an L2 ball that large, each with error probability alpha.
    """
    if finished.certified.empty:
        return finished.certified
    rows = finished.certified[finished.certified.proof == SMOOTHING]
    return rows.drop(columns=["proof", "robust_percent", "at_eps"]).reset_index(drop=True)


def draw(rows: pd.DataFrame, finished: Finished) -> Figure:
    """A panel a run and method, with its dense networks, or with these alone; a line a network."""
    groups = [
        [(run, m) for m in finished.methods if m in set(here.method)] or [(run, DENSE)]
        for run, here in rows.groupby("run", sort=False)
    ]
    lines = wrapped(groups, COLUMNS)
    figure, axes = panels([2.5 + AXIS] * len(lines), max(2, *map(len, lines)))
    styles = line_styles(rows)
    for line, places in zip(lines, axes, strict=True):
        for (run, method), ax in zip(line, places, strict=False):
            here = rows[(rows.run == run) & rows.method.isin([DENSE, DENSE_AGAIN, method])]
            _panel(ax, here, styles, method_colours(finished.methods))
            ax.set_title(titled(run, method, finished.runs))
        places[0].set_ylabel("certified test samples (%)")
        blank(places[len(line) :])
    head(figure, TITLE, _keys(rows, styles))
    return figure


def _panel(ax: Axes, rows: pd.DataFrame, styles: dict[float, tuple], colours: dict) -> None:
    for (name, sparsity, _), curve in rows.groupby(["method", "sparsity", "seed"], sort=False):
        width = CONTROL_WIDTH if name == DENSE_AGAIN else 1.5
        looks = {"color": colours[name], "linestyle": styles[sparsity], "linewidth": width}
        ax.plot(curve.eps, curve.certified_percent, alpha=0.85, **looks)
    certified = rows.eps[rows.certified_percent > 0]
    end = rows.eps[rows.eps > certified.max()].min() if len(certified) else rows.eps.max()
    ax.set(xlim=(0, end), ylim=(-2, 102), xlabel=f"radius ({distance_unit('L2')})")


def _keys(rows: pd.DataFrame, styles: dict[float, tuple]) -> list[Line2D]:
    again = key(CONTROL_NAMES[DENSE_AGAIN], linestyle="-", lw=CONTROL_WIDTH, color=REFERENCE)
    return [
        key(DENSE, linestyle="-", color=REFERENCE),
        *[again] * bool((rows.method == DENSE_AGAIN).any()),
        *(key(f"sparsity {s:g}", linestyle=one, color=FADED) for s, one in styles.items() if s),
    ]

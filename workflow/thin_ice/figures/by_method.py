"""The grid that several figures share: a row of panels a run and method, a column a correctness."""

from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from thin_ice.figures.finished import Finished
from thin_ice.figures.layout import AXIS, panels
from thin_ice.figures.words import titled, view_name

Panel = Callable[[Axes, str, str, str], None]  # draws one: axes, run, method, kind of correctness


def by_method(
    finished: Finished, height: float, panel: Panel, x_label: str, y_label: str
) -> Figure:
    """A figure with its panels drawn and named; ``height`` of a panel without its axis, in inches.
    The title and the legend are the caller's.
    """
    across = finished.compared_methods
    figure, axes = panels([height + AXIS] * len(across), len(finished.views))
    for (run, method), places in zip(across, axes, strict=True):
        for view, ax in zip(finished.views, places, strict=True):
            panel(ax, run, method, view)
            text = f"{method}: {view_name(view, finished.eps).lower()}"
            ax.set_title(titled(run, text, finished.runs))
            ax.set_xlabel(x_label)
        places[0].set_ylabel(y_label)
    return figure

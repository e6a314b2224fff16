"""How much of its best robust accuracy each network has lost when its training ends."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import t

from thin_ice.figures.finished import Finished
from thin_ice.figures.layout import AXIS, blank, head, key, panels
from thin_ice.figures.sentences import joined
from thin_ice.figures.theme import FADED, REFERENCE, method_colours
from thin_ice.figures.words import counted, interval, number, pair_name
from thin_ice.margins.analysis import DENSE, DENSE_AGAIN

ROW = 0.3  # inches a network
COLUMNS = [
    *("run", "method", "sparsity", "seed", "pipeline", "measure"),
    *("overfitting_points", "overfitting_low", "overfitting_high", "cured_points"),
]
WHEN = {  # groups of networks that the sentence speaks of, by when they were pruned
    "during": "pruned during training",
    "before": "pruned before training",
    "after": "fine-tuned after pruning",
}
FEW = 3  # fewer networks than this have no interval
TITLE = "Robust overfitting: best validated epoch minus the last"


def table(finished: Finished) -> pd.DataFrame:
    """One row a network whose training was after robust accuracy."""
    if finished.training.empty:
        return pd.DataFrame(columns=COLUMNS)
    told = finished.training[finished.training.measure == "robust"]
    return told[COLUMNS].dropna(subset="overfitting_points").reset_index(drop=True)


def draw(points: pd.DataFrame, finished: Finished) -> Figure:
    """A panel a run; rows are networks, every seed a point with its interval."""
    runs = [run for run in finished.runs if run in set(points.run)]
    lines = points.drop_duplicates(["run", "method", "sparsity"]).groupby("run").size().max()
    columns = min(2, len(runs))
    figure, axes = panels([lines * ROW + AXIS] * -(-len(runs) // columns), columns)
    colours = method_colours(finished.methods)
    for run, ax in zip(runs, axes.flat, strict=False):
        _panel(ax, points[points.run == run], colours)
        ax.set_title(run if len(runs) > 1 else "")
    blank(axes.flat[len(runs) :])
    seed = key("one seed, 95 % interval over images", marker="o", color=REFERENCE)
    mean = key("mean of the dense networks", color=FADED, linestyle="--")
    head(figure, TITLE, [seed, mean])
    return figure


def _panel(ax: Axes, points: pd.DataFrame, colours: dict[str, str]) -> None:
    """Networks in the table's order, the first on top; seeds of one side by side."""
    groups = list(points.groupby(["method", "sparsity"], sort=False))
    for place, ((method, _), here) in enumerate(groups):
        values = here.overfitting_points
        reach = [values - here.overfitting_low, here.overfitting_high - values]
        heights = place + (np.arange(len(here)) - (len(here) - 1) / 2) * 0.2
        looks = {"color": colours[method], "fmt": "o", "ms": 4.5, "elinewidth": 1, "zorder": 3}
        ax.errorbar(values, heights, xerr=reach, **looks)
    ax.axvline(0, color=REFERENCE, linewidth=1)
    dense = points.overfitting_points[points.method == DENSE]
    if len(dense):
        ax.axvline(dense.mean(), color=FADED, linestyle="--", linewidth=1.2, zorder=1)
    ax.set_yticks(range(len(groups)), [pair_name(*names) for names, _ in groups])
    ax.set(ylim=(len(groups) - 0.4, -0.6), xlabel="robust accuracy lost (percentage points)")


def sentence(points: pd.DataFrame) -> str:
    """What dense networks lose, and by how much less those lose that were pruned, by when."""
    dense = points.overfitting_points[points.method == DENSE]
    told = []
    if len(dense):
        told.append(f"dense networks lose {_mean(dense)} points of their best robust accuracy")
    for pipeline, name in WHEN.items():
        here = points[points.pipeline == pipeline]
        beside = here[here.cured_points.notna()]
        if len(beside):
            told.append(
                f"those {name} lose {_mean(beside.overfitting_points)}, "
                f"{_mean(beside.cured_points)} less than the dense network of the same seed "
                f"({counted(len(beside), 'network')})"
            )
        elif len(here):
            told.append(f"those {name} lose {_mean(here.overfitting_points)}")
    again = points.overfitting_points[points.method == DENSE_AGAIN]
    if len(again):
        told.append(f"dense ones fine-tuned again lose {_mean(again)}")
    return joined(told)


def _mean(values: pd.Series) -> str:
    """With Student's 95 % interval over networks, from three on."""
    mean, count = float(values.mean()), len(values)
    if count < FEW:
        return number(mean)
    half = float(t.ppf(0.975, count - 1) * values.std() / np.sqrt(count))
    return interval(mean, mean - half, mean + half, digits=1)

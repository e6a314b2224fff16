"""Where kept, lost, rescued and never-right samples stand on the dense network."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from thin_ice.figures.finished import Finished
from thin_ice.figures.layout import AXIS, head, key, panels
from thin_ice.figures.theme import REFERENCE, SET_COLOURS
from thin_ice.figures.words import distance_unit, pair_name, titled, view_name
from thin_ice.margins.ice import SETS

ROW = 1.3  # inches a pair
DRAWN = 400  # points of a set at most, evenly spaced by rank; the boxes stand on all
SPARSE = 100  # up to this many points are drawn opaque
QUANTILES = {"q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95}
PAIR = ["run", "method", "sparsity"]
KEYS = [*PAIR, "correctness", "norm"]
TITLE = "Signed distance to the dense network's decision boundary"


def table(finished: Finished) -> pd.DataFrame:
    """One row a pair (seeds pooled), kind of correctness and set: how many samples, for how many
    of them no distance was found (infinite), and quantiles of the signed distances that were.
    """
    groups = finished.main_samples.groupby(KEYS, sort=False)
    rows = [
        dict(zip(KEYS, names, strict=True)) | {"set": name} | _summary(_distances(here, name))
        for names, here in groups
        for name in SETS
    ]
    return pd.DataFrame(rows)


def _distances(samples: pd.DataFrame, name: str) -> np.ndarray:
    return samples.signed_distance[samples.set == name].to_numpy(dtype=float)


def _summary(values: np.ndarray) -> dict[str, float]:
    finite = values[np.isfinite(values)]
    found = np.quantile(finite, list(QUANTILES.values())) if len(finite) else [np.nan] * 5
    counts = {"samples": len(values), "infinite": len(values) - len(finite)}
    return counts | dict(zip(QUANTILES, map(float, found), strict=True))


def draw(boxes: pd.DataFrame, finished: Finished) -> Figure:
    """A row of panels a pair, a column a kind of correctness, a line a set."""
    rows = [(run, *pair) for run in finished.runs for pair in finished.pairs(run)]
    heights = [ROW + (0.2 if len(finished.runs) > 1 else 0)] * len(rows)
    heights[-1] += AXIS / 2
    figure, axes = panels(heights, len(finished.views), share_x="col")
    samples = dict(list(finished.main_samples.groupby([*PAIR, "correctness"])))
    boxes = boxes.set_index([*PAIR, "correctness", "set"]).sort_index()
    for row, places in zip(rows, axes, strict=True):
        for view, ax in zip(finished.views, places, strict=True):
            _panel(ax, boxes.loc[(*row, view)], samples[*row, view])
            title = f"{pair_name(*row[1:])}: {view_name(view, finished.eps).lower()}"
            ax.set_title(titled(row[0], title, finished.runs))
            ax.axvline(boundary(view, finished.eps), color=REFERENCE, linestyle="--", lw=1.1)
    for ax in axes[-1]:
        ax.set_xlabel(f"signed distance ({distance_unit(finished.norm)})")
    head(figure, TITLE, _keys())
    return figure


def boundary(view: str, eps: float) -> float:
    """Where the verdict changes: 0 for clean correctness, eps for robust correctness."""
    return 0.0 if view == "clean" else eps


def _panel(ax: Axes, boxes: pd.DataFrame, points: pd.DataFrame) -> None:
    """A line of points and a box a set, with how many samples they stand for."""
    names = []
    for place, name in enumerate(SETS):
        colour, box = SET_COLOURS[name], boxes.loc[name]
        values = thinned(_distances(points, name))
        looks = {"color": colour, "alpha": 0.45 if len(values) > SPARSE else 0.95, "lw": 0}
        ax.scatter(values, place + _jitter(len(values)), s=9, **looks)
        ax.collections[-1].set_rasterized(True)
        if box.samples > box.infinite:
            _box(ax, place, box)
        names.append(_set_name(name, int(box.samples), int(box.infinite)))
    ax.set_yticks(range(len(SETS)), names)
    ax.set_ylim(len(SETS) - 0.45, -0.55)
    ax.grid(axis="y", visible=False)


def thinned(values: np.ndarray) -> np.ndarray:
    """The finite values, sorted; of many, ``DRAWN`` evenly spaced by rank, extremes included."""
    found = np.sort(values[np.isfinite(values)])
    if len(found) <= DRAWN:
        return found
    return found[np.linspace(0, len(found) - 1, DRAWN).round().astype(int)]


def _jitter(count: int) -> np.ndarray:
    """Spread points over a line's height by the golden ratio: even, and the same every time."""
    return (np.arange(count) * 0.618034 % 1 - 0.5) * 0.6


def _box(ax: Axes, place: int, box: pd.Series) -> None:
    stats = {"whislo": box.q05, "q1": box.q25, "med": box["median"], "q3": box.q75}
    line = {"color": "black", "linewidth": 0.9}
    ax.bxp(
        [{**stats, "whishi": box.q95, "fliers": []}],
        positions=[place],
        widths=0.5,
        orientation="horizontal",
        showfliers=False,
        boxprops=line,
        whiskerprops=line,
        capprops=line,
        medianprops={"color": "black", "linewidth": 2},
        manage_ticks=False,
    )


def _set_name(name: str, samples: int, infinite: int) -> str:
    return f"{name}, n = {samples}" + (f" ({infinite} at ∞)" if infinite else "")


def _keys() -> list[Line2D]:
    box = key("box: quartiles, whiskers: 5–95 %", marker="s", mfc="none", color="black")
    line = key("boundary that matters", linestyle="--", color=REFERENCE)
    return [line, key("one sample", marker="o", ms=4, color=SET_COLOURS["kept"]), box]

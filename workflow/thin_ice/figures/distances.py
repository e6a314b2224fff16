"""Where kept, lost, rescued and never-right samples stand on the dense network."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from thin_ice.figures.finished import Finished, Pair
from thin_ice.figures.layout import AXIS, head, key, panels
from thin_ice.figures.theme import REFERENCE, SET_COLOURS
from thin_ice.figures.words import distance_unit, pair_name, titled, view_name
from thin_ice.margins.ice import SETS

LINE = 0.25  # inches a set
STRIDE = len(SETS) + 1  # lines a pair: a heading, and its sets
DRAWN = 400  # points of a set at most, evenly spaced by rank; the boxes stand on all
SPARSE = 100  # up to this many points are drawn opaque
QUANTILES = {"q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95}
COUNTS = ["set", "samples", "infinite"]
KEYS = ["run", "method", "sparsity", "correctness", "norm"]
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
    """A row of panels a run, a column a kind of correctness; each pair a heading and four lines."""
    runs = [run for run in finished.runs if finished.pairs(run)]
    heights = [len(finished.pairs(run)) * STRIDE * LINE + AXIS + 0.3 for run in runs]
    figure, axes = panels(heights, len(finished.views), share_x="col")
    samples = dict(list(finished.main_samples.groupby(["run", "correctness"])))
    for run, across in zip(runs, axes, strict=True):
        for view, ax in zip(finished.views, across, strict=True):
            here = boxes[(boxes.run == run) & (boxes.correctness == view)]
            _panel(ax, here, samples[run, view], finished.pairs(run))
            ax.axvline(boundary(view, finished.eps), color=REFERENCE, linestyle="--", lw=1.1)
            ax.set_title(titled(run, view_name(view, finished.eps), finished.runs))
            ax.set_xlabel(f"signed distance ({distance_unit(finished.norm)})")
            ax.tick_params(labelbottom=True)
    head(figure, TITLE, _keys())
    return figure


def boundary(view: str, eps: float) -> float:
    """Where the verdict changes: 0 for clean correctness, eps for robust correctness."""
    return 0.0 if view == "clean" else eps


def _panel(ax: Axes, boxes: pd.DataFrame, points: pd.DataFrame, pairs: list[Pair]) -> None:
    """All pairs of a run, one beneath the other."""
    boxes = boxes.assign(place=[_place(pairs, row) for row in boxes.itertuples()])
    values = dict(list(points.groupby(["method", "sparsity"])))
    for row in boxes.itertuples():
        _strip(ax, row.place, row.set, _distances(values[row.method, row.sparsity], row.set))
    _boxes(ax, boxes[boxes.samples > boxes.infinite])
    for index, pair in enumerate(pairs):
        _heading(ax, index * STRIDE, pair_name(*pair))
    ax.set_yticks(boxes.place, [_set_name(*row) for row in boxes[COUNTS].itertuples(index=False)])
    ax.set_ylim(len(pairs) * STRIDE - 0.4, -0.7)
    ax.xaxis.set_major_locator(MaxNLocator(6))
    ax.grid(axis="y", visible=False)


def _place(pairs: list[Pair], row: Any) -> int:
    """The line of a set: pairs from the top, each with its heading first."""
    return pairs.index((row.method, row.sparsity)) * STRIDE + 1 + SETS.index(row.set)


def _heading(ax: Axes, place: int, text: str) -> None:
    """A pair's name on its own line, at the left inside the panel."""
    looks = {"va": "center", "weight": "bold", "bbox": {"facecolor": "white", "lw": 0, "pad": 1}}
    ax.text(0.015, place, text, transform=ax.get_yaxis_transform(), **looks)


def _strip(ax: Axes, place: int, name: str, distances: np.ndarray) -> None:
    """A line of points, opaque where they are few."""
    values = thinned(distances)
    looks = {"color": SET_COLOURS[name], "alpha": 0.45 if len(values) > SPARSE else 0.95}
    ax.scatter(values, place + _jitter(len(values)), s=9, lw=0, rasterized=True, **looks)


def thinned(values: np.ndarray) -> np.ndarray:
    """The finite values, sorted; of many, ``DRAWN`` evenly spaced by rank, extremes included."""
    found = np.sort(values[np.isfinite(values)])
    if len(found) <= DRAWN:
        return found
    return found[np.linspace(0, len(found) - 1, DRAWN).round().astype(int)]


def _jitter(count: int) -> np.ndarray:
    """Spread points over a line's height by the golden ratio: even, and the same every time."""
    return (np.arange(count) * 0.618034 % 1 - 0.5) * 0.6


def _boxes(ax: Axes, boxes: pd.DataFrame) -> None:
    """Quartiles and 5 to 95 % of every set that has a finite distance."""
    names = {"q05": "whislo", "q25": "q1", "median": "med", "q75": "q3", "q95": "whishi"}
    line = {"color": "black", "linewidth": 0.9}
    ax.bxp(
        boxes[list(names)].rename(columns=names).to_dict("records"),
        positions=boxes.place,
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

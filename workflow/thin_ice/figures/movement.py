"""How far pruning moved the boundary: each sample's distance on the dense and the other network."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from thin_ice.figures.finished import Finished
from thin_ice.figures.layout import AXIS, blank, head, key, panels, wrapped
from thin_ice.figures.theme import REFERENCE, SET_COLOURS
from thin_ice.figures.words import norm_name, pair_name, titled
from thin_ice.margins.ice import SETS

DRAWN = 300  # points of a set at most, evenly spaced by rank of their distance
GRID = 3  # panels a line
PAIR = ["run", "method", "sparsity"]
COLUMNS = [*PAIR, "seed", "sample_id", "set", "signed_distance", "other_signed_distance"]
ENDS = (0.005, 0.995)
TITLE = "Signed distance on the dense network and on the other one"


def table(finished: Finished) -> pd.DataFrame:
    """One row a point that is drawn: its pair, seed, sample, set by clean correctness and its
    signed distances on both networks. Samples without a found distance on either are left out, and
    of a large set every n-th by its distance is taken.
    """
    samples = finished.main_samples
    if "other_signed_distance" not in samples:
        return pd.DataFrame(columns=COLUMNS)
    both = samples[["signed_distance", "other_signed_distance"]].to_numpy(float)
    shown = samples[(samples.correctness == "clean") & np.isfinite(both).all(axis=1)]
    groups = shown.groupby([*PAIR, "set"], sort=False, observed=True)
    parts = [_thinned(here) for _, here in groups]
    return pd.concat([pd.DataFrame(columns=COLUMNS), *parts])[COLUMNS].reset_index(drop=True)


def _thinned(rows: pd.DataFrame) -> pd.DataFrame:
    ordered = rows.sort_values(["signed_distance", "seed", "sample_id"])
    if len(ordered) <= DRAWN:
        return ordered
    return ordered.iloc[np.linspace(0, len(ordered) - 1, DRAWN).round().astype(int)]


def draw(points: pd.DataFrame, finished: Finished) -> Figure:
    """A panel a pair, seeds pooled: on the dashed line nothing moved."""
    groups = [[(run, pair) for pair in finished.pairs(run)] for run in finished.runs]
    rows = wrapped(groups, GRID)
    figure, axes = panels([2.9 + AXIS] * len(rows), GRID)
    by_pair = dict(list(points.groupby(PAIR)))
    for row, places in zip(rows, axes, strict=True):
        for (run, pair), ax in zip(row, places, strict=False):
            here = by_pair.get((run, *pair), points.iloc[:0])
            _panel(ax, here, _limits(points[points.run == run]))
            ax.set_title(titled(run, pair_name(*pair), finished.runs), fontsize="small")
            ax.set_xlabel(f"dense network ({norm_name(finished.norm)}, [0, 1])", fontsize="small")
        places[0].set_ylabel(
            f"other network ({norm_name(finished.norm)}, [0, 1])", fontsize="small"
        )
        blank(places[len(row) :])
    names = [key(name, marker="o", ms=5, color=SET_COLOURS[name]) for name in SETS]
    head(figure, TITLE, [*names, key("not moved", linestyle="--", color=REFERENCE)])
    return figure


def _limits(points: pd.DataFrame) -> tuple[float, float]:
    """The range of both axes of a run, its extremes left out."""
    values = points[["signed_distance", "other_signed_distance"]].to_numpy(float).ravel()
    low, high = np.quantile(values, ENDS) if len(values) else (0.0, 1.0)
    margin = 0.05 * (high - low) or 0.1
    return low - margin, high + margin


def _panel(ax: Axes, points: pd.DataFrame, limits: tuple[float, float]) -> None:
    ax.plot(limits, limits, color=REFERENCE, linestyle="--", linewidth=1, zorder=2)
    for line in (ax.axhline, ax.axvline):
        line(0, color="#bbbbbb", linewidth=0.8, zorder=1)
    for name in SETS:
        here = points[points.set == name]
        x, y = here.signed_distance.astype(float), here.other_signed_distance.astype(float)
        looks = {"color": SET_COLOURS[name], "alpha": 0.6, "lw": 0, "rasterized": True}
        ax.scatter(x.clip(*limits), y.clip(*limits), s=8, zorder=3, **looks)
    ax.set(xlim=limits, ylim=limits)
    ax.locator_params(nbins=5)
    ax.tick_params(labelsize="small")

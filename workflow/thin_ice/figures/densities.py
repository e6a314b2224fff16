"""How kept, lost, rescued and never-right samples are spread over distance: histograms a set.

Histograms and not smoothed densities: bins end at the boundary that matters, so that no sample is
smeared to the wrong side of it.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from thin_ice.figures.distances import boundary
from thin_ice.figures.finished import FEW_SAMPLES, Finished
from thin_ice.figures.layout import AXIS, blank, head, key, panels, wrapped
from thin_ice.figures.theme import REFERENCE, SET_COLOURS
from thin_ice.figures.words import distance_unit, pair_name, titled
from thin_ice.margins.ice import SETS

BINS = 24  # over the middle 98 % of a run's samples; what is beyond is in the end bins
ENDS = (0.01, 0.99)
GRID = 4  # panels a line
KEYS = ["run", "correctness", "norm", "method", "sparsity"]
COLUMNS = [*KEYS, "set", "from_distance", "to_distance", "samples", "share"]
TITLE = "Signed distance to the dense network's boundary: share of each set"


def table(finished: Finished) -> pd.DataFrame:
    """One row a pair (seeds pooled), kind of correctness, set and bin: the samples of the set with
    a found distance in it, and their share of the set. Bins are those of a run and kind of
    correctness; the first and the last also hold what lies beyond.
    """
    parts = []
    for (_, view), here in finished.main_samples.groupby(["run", "correctness"], sort=False):
        found = here[np.isfinite(here.signed_distance)]
        if len(found):
            edges = bin_edges(found.signed_distance.to_numpy(float), boundary(view, finished.eps))
            parts += [_counts(part, names, edges) for names, part in _groups(found)]
    return pd.concat(parts, ignore_index=True)[COLUMNS] if parts else pd.DataFrame(columns=COLUMNS)


def _groups(found: pd.DataFrame) -> list[tuple[tuple, pd.DataFrame]]:
    return list(found.groupby([*KEYS, "set"], sort=False, observed=True))


def _counts(part: pd.DataFrame, names: tuple, edges: np.ndarray) -> pd.DataFrame:
    inside = np.clip(part.signed_distance.to_numpy(float), edges[0], edges[-1])
    counts = np.histogram(inside, edges)[0]
    rows = {"from_distance": edges[:-1], "to_distance": edges[1:]}
    rows |= {"samples": counts, "share": counts / counts.sum()}
    return pd.DataFrame(rows).assign(**dict(zip([*KEYS, "set"], names, strict=True)))


def bin_edges(values: np.ndarray, middle: float) -> np.ndarray:
    """Edges of equal bins over the middle 98 % of the values; ``middle`` is one of them."""
    low, high = np.quantile(values, ENDS)
    width = (high - low) / BINS or max(abs(high - middle), 1e-3) / BINS
    first, last = np.floor((low - middle) / width), np.ceil((high - middle) / width)
    return middle + width * np.arange(first, max(last, first + 1) + 1)


def draw(bins: pd.DataFrame, finished: Finished) -> Figure:
    """A panel a pair and kind of correctness; an outline a set, a tick where it is small."""
    here = bins.groupby(["run", "correctness"], sort=False)
    groups = [
        [(run, view, pair) for pair in finished.pairs(run)]
        for run, view in sorted(here.groups, key=lambda one: finished.runs.index(one[0]))
    ]
    rows = wrapped(groups, GRID)
    figure, axes = panels([1.9 + AXIS] * len(rows), GRID)
    drawn = dict(list(bins.groupby(["run", "correctness", "method", "sparsity"])))
    for row, places in zip(rows, axes, strict=True):
        for (run, view, pair), ax in zip(row, places, strict=False):
            _panel(ax, drawn.get((run, view, *pair)), boundary(view, finished.eps))
            ax.set_title(
                titled(run, f"{pair_name(*pair)}: {view}", finished.runs), fontsize="small"
            )
            ax.set_xlabel(f"distance ({distance_unit(finished.norm)})", fontsize="small")
        places[0].set_ylabel("share of the set (%)")
        blank(places[len(row) :])
    names = [key(name, linestyle="-", color=SET_COLOURS[name], linewidth=2) for name in SETS]
    head(figure, TITLE, [*names, key("boundary that matters", linestyle="--", color=REFERENCE)])
    return figure


def _panel(ax: Axes, bins: pd.DataFrame | None, middle: float) -> None:
    ax.axvline(middle, color=REFERENCE, linestyle="--", linewidth=1)
    if bins is None:
        return
    for name, one in bins.groupby("set", sort=False, observed=True):
        colour = SET_COLOURS[name]
        if one.samples.sum() < FEW_SAMPLES:
            at = one[one.samples > 0]
            middles = (at.from_distance + at.to_distance) / 2
            ax.plot(middles, [0] * len(at), "|", color=colour, ms=16, mew=2, clip_on=False)
            continue
        edges = [*one.from_distance, one.to_distance.iloc[-1]]
        ax.stairs(100 * one.share, edges, fill=True, color=colour, alpha=0.14)
        ax.stairs(100 * one.share, edges, color=colour, linewidth=1.4)
    ax.set_ylim(bottom=0)
    ax.locator_params(axis="x", nbins=4)
    ax.tick_params(labelsize="small")

"""How likely a sample is to be lost, by how far it stood from the boundary that matters."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from thin_ice.evaluation.proportions import wilson
from thin_ice.figures.by_method import by_method
from thin_ice.figures.finished import Finished, Pair
from thin_ice.figures.layout import head, network_keys, note
from thin_ice.figures.theme import network_looks
from thin_ice.figures.words import distance_unit, number
from thin_ice.margins.analysis import CONTROLS

BINS = 10
SAMPLES_A_BIN = 20  # at least, over the distinct dense-right samples of a run
DECIMALS = range(3, 8)  # of a distance on the axis
PAIR = ["run", "correctness", "norm", "method", "sparsity"]
COLUMNS = [*PAIR, "bin", "from_distance", "to_distance", "samples", "lost", "share", "low", "high"]
TITLE = "Share lost of the samples that the dense network has right, by distance"


def table(finished: Finished) -> pd.DataFrame:
    """Among samples that the dense network has right, the share lost in each quantile bin of
    distance, with its 95 % Wilson interval. Seeds are pooled; the bins are those of a run and kind
    of correctness, the same for all its pairs. An infinite distance is in the last bin.
    """
    samples = finished.main_samples
    right = samples[samples.set.isin(["kept", "lost"])]
    parts = [_binned(here) for _, here in right.groupby(["run", "correctness"], sort=False)]
    return pd.concat(parts, ignore_index=True)[COLUMNS] if parts else pd.DataFrame(columns=COLUMNS)


def _binned(right: pd.DataFrame) -> pd.DataFrame:
    values = right.boundary_distance.to_numpy(dtype=float)
    distinct = len(right.drop_duplicates(["seed", "sample_id"]))
    edges = bin_edges(values, int(np.clip(distinct // SAMPLES_A_BIN, 1, BINS)))
    right = right.assign(bin=bin_numbers(values, edges), lost=right.set == "lost")
    counts = right.groupby([*PAIR, "bin"], sort=False).lost.agg(["size", "sum"]).reset_index()
    counts = counts.rename(columns={"size": "samples", "sum": "lost"})
    counts["from_distance"] = edges[counts.bin - 1]
    counts["to_distance"] = edges[counts.bin]
    counts["share"], counts["low"], counts["high"] = wilson(counts.lost, counts.samples)
    return counts.sort_values([*PAIR, "bin"])


def bin_edges(values: np.ndarray, bins: int) -> np.ndarray:
    """Edges of quantile bins, each edge a value that occurs; bins that ties would empty are
    merged. The first edge is 0.
    """
    upper = np.quantile(values, np.arange(1, bins + 1) / bins, method="inverted_cdf")
    return np.concatenate([[0.0], np.unique(upper)])


def bin_numbers(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Bin of each value, from 1 (nearest); a value on an edge is in the nearer bin."""
    return np.searchsorted(edges[1:-1], values, side="left") + 1


def draw(shares: pd.DataFrame, finished: Finished) -> Figure:
    """A row of panels a run and method, a column a kind of correctness, a line a sparsity, and the
    controls beside them.
    """
    looks = network_looks(finished.all_pairs)

    def panel(ax: Axes, run: str, method: str, view: str) -> None:
        here = shares[(shares.run == run) & (shares.correctness == view)]
        _panel(ax, here[here.method.isin([method, *CONTROLS])], looks)

    x_label = f"distance to the boundary, upper end of bin ({distance_unit(finished.norm)})"
    figure = by_method(finished, 2.3, panel, x_label, "share lost")
    head(figure, TITLE, network_keys(finished.all_pairs, linestyle="-"))
    return figure


def _panel(ax: Axes, shares: pd.DataFrame, looks: dict[Pair, dict[str, str]]) -> None:
    ends = shares.drop_duplicates("bin").set_index("bin").to_distance.sort_index()
    lines = list(shares.groupby(["method", "sparsity"]))
    for place, (pair, here) in enumerate(lines):
        offset = 0.15 * (place - (len(lines) - 1) / 2)
        errors = [here.share - here.low, here.high - here.share]
        look = {"markersize": 4.5, "linewidth": 1.1, "capsize": 2, **looks[pair]}
        ax.errorbar(here.bin + offset, here.share, yerr=np.maximum(errors, 0), **look)
    if not lines:
        note(ax, "the dense network has no sample right")
    ax.set_xticks(ends.index, distinct(ends.tolist()), fontsize="small")
    ax.set(ylim=(-0.03, 1.03))
    ax.grid(axis="x", visible=False)


def distinct(values: list[float]) -> list[str]:
    """Values as text of three decimals, or as many as tell them apart and from 0."""
    texts: list[str] = []
    for digits in DECIMALS:
        texts = [number(value, digits) for value in values]
        hidden = any(
            value and text == number(0, digits) for value, text in zip(values, texts, strict=True)
        )
        if len(set(texts)) == len(texts) and not hidden:
            break
    return texts

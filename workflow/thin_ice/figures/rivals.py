"""Is it the distance? AUROCs of distance beside those of its rivals and of the controls."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from thin_ice.figures.finished import Finished, Pair
from thin_ice.figures.layout import AXIS, head, key, network_keys, panels
from thin_ice.figures.sentences import too_few
from thin_ice.figures.theme import FADED, REFERENCE, network_looks
from thin_ice.figures.words import PREDICTORS, predictor_name, titled, view_name
from thin_ice.margins.analysis import CONTROLS

LINE = 0.12  # inches a network and seed, and between predictors
GAP = 1.5  # lines between predictors
COLUMNS = [
    *("run", "method", "sparsity", "seed", "other", "correctness", "predictor", "norm"),
    *("kept_samples", "lost_samples", "auroc", "auroc_low", "auroc_high"),
    *("auroc_gain", "auroc_gain_low", "auroc_gain_high"),
]
TITLE = "AUROC for lost against kept samples: distance, its rivals, and controls"
CONTROL_PANEL = "controls"
Places = dict[str | tuple, float]


def table(finished: Finished) -> pd.DataFrame:
    """One row a pair, kind of correctness and predictor, in the norm that figures show: its AUROC
    for lost against kept, how far distance's lies above it, and whether there are too few samples
    to say anything.
    """
    if finished.predictors.empty:
        return pd.DataFrame(columns=[*COLUMNS, "too_few"])
    rows = finished.main(finished.predictors)[COLUMNS].reset_index(drop=True)
    return rows.assign(too_few=too_few(rows))


def draw(rows: pd.DataFrame, finished: Finished) -> Figure:
    """A row of panels a run and method, and one for its controls; a column a kind of correctness.
    Predictors stand one beneath the other, each with a line a network and seed.
    """
    rows = rows.assign(panel=rows.method.where(~rows.method.isin(CONTROLS), CONTROL_PANEL))
    order = [*finished.methods, CONTROL_PANEL]
    groups = sorted(
        set(zip(rows.run, rows.panel, strict=True)),
        key=lambda one: (finished.runs.index(one[0]), order.index(one[1])),
    )
    by_panel = {group: rows[(rows.run == group[0]) & (rows.panel == group[1])] for group in groups}
    heights = [_lines(here) * LINE + AXIS + 0.3 for here in by_panel.values()]
    figure, axes = panels(heights, len(finished.views))
    looks = network_looks(finished.all_pairs)
    for (run, name), across in zip(groups, axes, strict=True):
        here = by_panel[run, name]
        for view, ax in zip(finished.views, across, strict=True):
            _panel(ax, here[here.correctness == view], looks, _places(here))
            _frame(ax, _predictors(here), len(_networks(here)))
            text = f"{name}: {view_name(view, finished.eps).lower()}"
            ax.set_title(titled(run, text, finished.runs))
        for ax in across[1:]:
            ax.set_yticklabels([])
    head(figure, TITLE, [*network_keys(finished.all_pairs, linestyle="-"), *_keys()])
    return figure


def _networks(rows: pd.DataFrame) -> list[tuple]:
    return sorted(set(zip(rows.method, rows.sparsity, rows.seed, strict=True)))


def _predictors(rows: pd.DataFrame) -> list[str]:
    """In one order, whichever kind of correctness has them."""
    found = list(rows.predictor.unique())
    return [name for name in PREDICTORS if name in found]


def _places(rows: pd.DataFrame) -> Places:
    """The line at which each predictor begins, and of each network from there."""
    networks = _networks(rows)
    starts = {name: n * (len(networks) + GAP) for n, name in enumerate(_predictors(rows))}
    return {**starts, **{network: n for n, network in enumerate(networks)}}


def _lines(rows: pd.DataFrame) -> float:
    """How many lines the panels of a row need."""
    return len(_predictors(rows)) * (len(_networks(rows)) + GAP)


def _panel(ax: Axes, rows: pd.DataFrame, looks: dict[Pair, dict[str, str]], places: Places) -> None:
    """Intervals and points, hollow and pale where there are too few samples."""
    for row in rows.itertuples():
        place = places[row.predictor] + places[row.method, row.sparsity, row.seed]
        look = looks[row.method, row.sparsity]
        colour = FADED if row.too_few else look["color"]
        ax.plot([row.auroc_low, row.auroc_high], [place] * 2, color=colour, lw=1.2)
        shape = {"marker": look["marker"], "color": colour, "zorder": 3, "ms": 4.2}
        ax.plot(row.auroc, place, **shape | {"mfc": "white" if row.too_few else colour})


def _frame(ax: Axes, predictors: list[str], networks: int) -> None:
    """Axes from 0 to 1 with the chance line, and a name a predictor."""
    stride = networks + GAP
    starts = [stride * n for n in range(len(predictors))]
    ax.axvline(0.5, color=REFERENCE, linestyle="--", linewidth=1)
    middles = [start + (networks - 1) / 2 for start in starts]
    ax.set_yticks(middles, [predictor_name(name) for name in predictors])
    for start in starts[1:]:
        ax.axhline(start - (1 + GAP) / 2, color="#dddddd", linewidth=0.7)
    ax.set(xlim=(-0.03, 1.03), ylim=(len(starts) * stride - GAP, -1.2), xlabel="AUROC")
    ax.grid(axis="y", visible=False)


def _keys() -> list[Line2D]:
    few = key("too few lost or kept to say", marker="o", linestyle="-", mfc="white", color=FADED)
    return [few, key("chance", linestyle="--", color=REFERENCE)]

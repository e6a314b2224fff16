"""What pruning keeps: each measure of a pruned network in percent of its dense network's."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from thin_ice.evaluation.collapse import collapsed
from thin_ice.evaluation.preservation import trained_for
from thin_ice.figures.finished import Finished
from thin_ice.figures.layout import AXIS, head, key, panels
from thin_ice.figures.theme import FADED, REFERENCE, method_colours
from thin_ice.figures.words import MEASURES, pair_name
from thin_ice.margins.analysis import CONTROLS

ROW = 0.34  # inches a method and sparsity at least
POINT = 0.045  # inches that a network takes of it
FARTHEST = 150  # percent: what is kept of next to nothing knows no bound
SPREAD = 0.24  # of a row to each side, that its networks are set apart by
REACH = 0.36  # and that the line of a mean takes
LONG = 12  # lines from which on the axis stands above them too
PUBLISHED = {"marker": "*", "ms": 10, "mfc": "#F0E442", "mec": REFERENCE, "mew": 0.8}
COLUMNS = [
    *("shown", "run", "seed", "method", "sparsity", "measure", "protocol", "own", "networks"),
    *("collapsed", "dense_percent", "pruned_percent", "kept_percent", "kept_low", "kept_high"),
    "published_percent",
]
NETWORK, MEAN = "network", "mean"
TITLE = "What pruning keeps, in percent of the dense network's"


def table(finished: Finished) -> pd.DataFrame:
    """One row a network and measure, and one a mean over networks, as ``shown`` says.

    ``own``: of a network, whether it was trained and fine-tuned after the measure; of a mean,
    whether it is over those alone. ``collapsed``: how many networks are, or the dense one is that
    they were made from.
    """
    rows, means = finished.preservation, finished.averages
    if rows.empty:
        return pd.DataFrame(columns=COLUMNS)
    fallen = collapsed(rows) | collapsed(rows.assign(collapse=rows.dense_collapse))
    own = trained_for(rows).map({True: "yes", False: "no"})
    networks = rows.assign(shown=NETWORK, networks=1, own=own, collapsed=fallen.astype(int))
    means = means.assign(
        shown=MEAN,
        own=means.over.map({"own": "yes", "all": "no"}),
        networks=means.networks - means.without_ratio,
    )
    both = [networks, means]
    joined = pd.concat([part.reindex(columns=COLUMNS) for part in both], ignore_index=True)
    return joined.astype({"seed": "Int64", "networks": int, "collapsed": int})


def draw(rows: pd.DataFrame, finished: Finished) -> Figure:
    """A panel a measure; a line a method and sparsity, on which each network is a point."""
    measures = [name for name in MEASURES if name in set(rows.measure)]
    order = [*finished.methods, *CONTROLS]
    pairs = sorted(
        set(zip(rows.method, rows.sparsity, strict=True)),
        key=lambda pair: (order.index(pair[0]), pair[1]),
    )
    figure, axes = panels([_height(rows, len(pairs)) + AXIS], max(len(measures), 2))
    colours = method_colours(finished.methods)
    for measure, ax in zip(measures, axes.flat, strict=False):
        here = rows[rows.measure == measure]
        for place, (method, sparsity) in enumerate(pairs):
            _line(ax, here[(here.method == method) & (here.sparsity == sparsity)], place, colours)
        _frame(ax, pairs, measure)
        ax.tick_params(labeltop=len(pairs) > LONG)
        ax.set_yticks(range(len(pairs)), [pair_name(*pair) for pair in pairs])
        if ax is not axes[0, 0]:
            ax.set_yticklabels([])
    for ax in axes.flat[len(measures) :]:
        ax.set_axis_off()
    head(figure, TITLE, _keys(rows))
    return figure


def _height(rows: pd.DataFrame, lines: int) -> float:
    """Of all lines, by the most networks that one has."""
    networks = rows[rows.shown == NETWORK].groupby(["method", "sparsity", "measure"]).size().max()
    return max(lines, 2) * max(ROW, POINT * networks)


def _line(ax: Axes, rows: pd.DataFrame, place: int, colours: dict[str, str]) -> None:
    """The networks of a method and sparsity set apart, their means, and the published mean."""
    networks = rows[(rows.shown == NETWORK) & rows.kept_percent.notna()]
    step = 2 * SPREAD / max(len(networks) - 1, 1)
    first = place - SPREAD if len(networks) > 1 else place
    for index, row in enumerate(networks.itertuples()):
        _network(ax, row, first + index * step, colours[row.method])
    means = rows[rows.shown == MEAN]
    for row in means.itertuples():
        own = row.own == "yes"
        looks = {"color": REFERENCE, "lw": 2.4} if own else {"color": FADED, "lw": 1.2}
        ends = [place - REACH, place + REACH]
        ax.plot([min(row.kept_percent, FARTHEST)] * 2, ends, zorder=2.5, **looks)
    for published in means.published_percent.dropna().unique():
        ax.plot(published, place, linestyle="none", zorder=5, **PUBLISHED)


def _network(ax: Axes, row: tuple, height: float, colour: str) -> None:
    """A disk, hollow of a network that was not trained for the measure, a cross of a collapsed one;
    at the end of the axis an arrow.
    """
    shape = ">" if row.kept_percent > FARTHEST else "x" if row.collapsed else "o"
    face = colour if row.own == "yes" else "white"
    looks = {"ms": 4.6, "mec": colour, "mfc": face, "mew": 1.1, "alpha": 0.8, "zorder": 3}
    ax.plot(min(row.kept_percent, FARTHEST), height, shape, clip_on=False, **looks)


def _frame(ax: Axes, pairs: list[tuple[str, float]], measure: str) -> None:
    ax.axvline(100, color=REFERENCE, linewidth=1, zorder=1)
    methods = [method for method, _ in pairs]
    for place in range(1, len(pairs)):
        if methods[place] != methods[place - 1]:
            ax.axhline(place - 0.5, color="#bbbbbb", linewidth=0.8)
    ax.set(ylim=(len(pairs) - 0.4, -0.6), xlim=(-4, FARTHEST + 4), xlabel="kept (%)")
    ax.set_xticks([0, 50, 100, FARTHEST])
    ax.set_title(MEASURES[measure])
    ax.grid(axis="y", visible=False)


def _keys(rows: pd.DataFrame) -> list[Line2D]:
    """What is drawn in any panel."""
    dot = {"marker": "o", "ms": 4.6, "color": REFERENCE}
    networks, means = rows[rows.shown == NETWORK], rows[rows.shown == MEAN]
    own = (networks.own == "yes").any(), (networks.own == "no").any()
    mean = {"marker": "|", "color": REFERENCE, "ms": 13, "mew": 2.4}
    pale = {"marker": "|", "color": FADED, "ms": 11, "mew": 1.2}
    arrow = {"marker": ">", "ms": 4.6, "mfc": "white", "color": REFERENCE}
    told = [
        (own[0], key("trained for the measure", **dot)),
        (own[1], key("trained for another", mfc="white", **dot)),
        ((means.own == "yes").any(), key("mean of those trained for it", **mean)),
        ((means.own == "no").any(), key("mean of all", **pale)),
        (means.published_percent.notna().any(), key("published mean", **PUBLISHED)),
        (networks.collapsed.any(), key("collapsed", marker="x", color=REFERENCE)),
        ((networks.kept_percent > FARTHEST).any(), key(f"more than {FARTHEST} %", **arrow)),
    ]
    return [one for shown, one in told if shown]

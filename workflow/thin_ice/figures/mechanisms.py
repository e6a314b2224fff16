"""What hides behind a claimed accuracy: the overestimate beside what each mechanism alone hides."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from thin_ice.attacks.switches import MECHANISMS
from thin_ice.figures.finished import Finished
from thin_ice.figures.layout import AXIS, head, key
from thin_ice.figures.theme import DPI, FADED, REFERENCE, WIDTH, method_colours
from thin_ice.figures.words import interval, number, pair_name, titled

OVERESTIMATE = "overestimate"
COLUMNS = (OVERESTIMATE, *MECHANISMS)
NAMES = {
    OVERESTIMATE: "claimed −\nAutoAttack",
    "eps": "smaller\nε",
    "steps": "few\nsteps",
    "restarts": "few\nrestarts",
    "loss": "cross-\nentropy",
    "last": "last\niterate",
    "mode": "training\nmode",
    "selection": "selection\non test",
}
ROW = 0.3  # inches a network
HEAD = 1.5  # inches for title, legend and the names of columns
WIDER = 1.7  # of the first column, whose numbers are largest
TITLE = "What each mechanism alone hides"


def table(finished: Finished) -> pd.DataFrame:
    """The overestimate table as the analysis wrote it: a row a run, network and protocol."""
    return finished.overestimate.reset_index(drop=True)


def draw(rows: pd.DataFrame, finished: Finished) -> Figure:
    """A block of rows a run, a column a mechanism; a point with its interval, or a dash. The
    mechanisms of a run share a scale; the overestimate has its own.
    """
    runs = [run for run in finished.runs if run in set(rows.run)]
    blocks = [rows[rows.run == run].reset_index(drop=True) for run in runs]
    heights = [len(block) * ROW + AXIS for block in blocks]
    size = (WIDTH, sum(heights) + HEAD)
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.05, wspace=0)
    ratios = [WIDER] + [1] * len(MECHANISMS)
    axes = figure.subplots(
        len(blocks), len(COLUMNS), squeeze=False, height_ratios=heights, width_ratios=ratios
    )
    colours = method_colours(finished.methods)
    for block, run, across in zip(blocks, runs, axes, strict=True):
        limits = _limits(block)
        for name, ax in zip(COLUMNS, across, strict=True):
            _panel(ax, block, name, colours)
            ax.set_xlim(limits[name])
        _label_rows(across[0], block)
        across[0].set_title(titled(run, NAMES[OVERESTIMATE], finished.runs), fontsize="small")
        across[len(COLUMNS) // 2].set_xlabel("percentage points")
    head(figure, TITLE, _keys())
    return figure


def _limits(block: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """The range of each column: one for the overestimate, one for all mechanisms."""
    shared = _range(block, MECHANISMS)
    return {name: _range(block, (name,)) if name == OVERESTIMATE else shared for name in COLUMNS}


def _range(block: pd.DataFrame, names: tuple[str, ...]) -> tuple[float, float]:
    ends = block[[f"{name}_{end}" for name in names for end in ("low", "high")]].to_numpy().ravel()
    ends = [0.0, 1.0, *(end for end in ends if end == end)]
    margin = 0.08 * (max(ends) - min(ends))
    return min(ends) - margin, max(ends) + margin


def _panel(ax: Axes, block: pd.DataFrame, name: str, colours: dict[str, str]) -> None:
    ax.axvline(0, color=REFERENCE, linewidth=0.9, zorder=1)
    for place, row in enumerate(block.to_dict("records")):
        _mark(ax, place, row, name, colours[row["method"]])
    for place in _ends_of_methods(block):
        ax.axhline(place, color="#bbbbbb", linewidth=0.8)
    ax.set_title(NAMES[name], fontsize="small", fontweight="normal")
    ax.set(ylim=(len(block) - 0.4, -0.6))
    ax.set_yticks(range(len(block)), [])
    ax.xaxis.set_major_locator(MaxNLocator(4 if name == OVERESTIMATE else 2, integer=True))
    ax.tick_params(labelsize="small")


def _mark(ax: Axes, place: int, row: dict[str, Any], name: str, colour: str) -> None:
    """A point with its interval, filled where the interval leaves out 0; else a dash."""
    value, low, high = (row[f"{name}_{end}"] for end in ("points", "low", "high"))
    if value != value:
        at = ax.get_yaxis_transform()
        ax.text(0.5, place, "–", transform=at, ha="center", va="center", color=FADED)
        return
    face = colour if low > 0 or high < 0 else "white"
    ax.plot([low, high], [place] * 2, color=colour, linewidth=1.3, zorder=2)
    if name == OVERESTIMATE and row["seeds"] > 1:
        ends = [row["overestimate_min"], row["overestimate_max"]]
        ax.plot(ends, [place] * 2, "|", color=colour, markersize=9, markeredgewidth=1.4, zorder=3)
    ax.plot(value, place, "o", mfc=face, mec=colour, ms=5.5, mew=1.3, zorder=4)


def _ends_of_methods(block: pd.DataFrame) -> list[float]:
    """Places between one method's rows and the next one's."""
    methods = block.method.tolist()
    return [n + 0.5 for n in range(len(methods) - 1) if methods[n] != methods[n + 1]]


def _label_rows(ax: Axes, block: pd.DataFrame) -> None:
    names = [
        f"{pair_name(row.method, row.sparsity)} ({row.protocol})" for row in block.itertuples()
    ]
    ax.set_yticks(range(len(names)), names)


def _keys() -> list[Line2D]:
    dot = {"marker": "o", "color": REFERENCE, "ms": 5.5}
    return [
        key("95 % interval leaves out 0", linestyle="-", **dot),
        key("includes 0", linestyle="-", mfc="white", **dot),
        key("least and most of the seeds", marker="|", ms=9, mew=1.4, color=REFERENCE),
        key("protocol is sound in it, or it was not measured", marker="$–$", color=FADED),
    ]


def mechanism_cells(rows: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """The overestimate table as people read it; the run is a column only where there are several.

    A mechanism that nothing was measured of is no column.
    """
    kept = [name for name in MECHANISMS if rows[f"{name}_points"].notna().any()]
    header = ["network", "claimed by", "claimed (%)", "AutoAttack (%)", "overestimate (points)"]
    header += ["sd over seeds", *(_named(name) for name in kept), "training mode would add"]
    cells = [_cells(row, kept) for row in rows.to_dict("records")]
    if rows.run.nunique() > 1:
        return ["run", *header], [[run, *row] for run, row in zip(rows.run, cells, strict=True)]
    return header, cells


def _named(name: str) -> str:
    """A column's name on one line."""
    return NAMES[name].replace("-\n", "-").replace("\n", " ")


def _cells(row: dict[str, Any], kept: list[str]) -> list[str]:
    return [
        pair_name(row["method"], row["sparsity"]),
        row["protocol"],
        number(row["claimed_percent"]),
        number(row["autoattack_percent"]),
        _points(row, OVERESTIMATE),
        number(row["overestimate_sd"]),
        *(_points(row, name) for name in kept),
        number(row["train_mode_points"]),
    ]


def _points(row: dict[str, Any], name: str) -> str:
    return interval(*(row[f"{name}_{end}"] for end in ("points", "low", "high")), digits=1)

"""Trained with one objective and fine-tuned with another: every pair, by every measure."""

import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from thin_ice.figures.finished import Finished
from thin_ice.figures.layout import blank, head, key, panels, wrapped
from thin_ice.figures.theme import REFERENCE
from thin_ice.figures.words import MEASURES, number

GROUP = ["dataset", "model", "kind", "unit", "sparsity"]
COLUMNS = 5
CELL = 0.4  # inches an objective
LETTER = 0.075  # inches of a name that stands upright beneath a panel
COLOURS = "cividis"  # of even lightness, made for all kinds of colour vision
DARK = 0.55  # share of the scale up to which a cell is dark
GROUND = "#e4e4e4"  # where a pair was not run
SMALL = 7  # points
MATCHED = {"facecolor": "none", "edgecolor": "#D55E00", "linewidth": 2.2}
TITLE = "Trained with one objective, fine-tuned with another"


def table(finished: Finished) -> pd.DataFrame:
    """The mismatch table as the analysis wrote it: a row a network, method, sparsity, pair of
    objectives and measure; empty where every network was fine-tuned with what trained it.
    """
    return finished.mismatch.reset_index(drop=True)


def draw(rows: pd.DataFrame, finished: Finished) -> Figure:
    """Panels of a network, method and sparsity in a row, one a measure: a cell a pair."""
    groups = list(rows.groupby(GROUP, sort=False))
    lines = [(group, here, line) for group, here in groups for line in _lines(here)]
    columns = max(3, *(len(line) for *_, line in lines))
    figure, axes = panels([_height(here) for _, here, _ in lines], columns)
    scales = {name: _scale(here) for name, here in rows.groupby("measure").percent}
    for (group, here, line), across in zip(lines, axes, strict=True):
        for (measure, protocol), ax in zip(line, across, strict=False):
            cells = here[(here.measure == measure) & (here.protocol == protocol)]
            _panel(ax, cells, here, scales[measure])
        headings = [_heading(here, *one) for one in line]
        above = max(text.count("\n") for text in headings) - headings[0].count("\n")
        headings[0] = called(group) + "\n" * (1 + above) + headings[0]
        for text, ax in zip(headings, across, strict=False):
            ax.set_title(text, fontsize="small")
        _label(across[0], here)
        blank(across[len(line) :])
    head(figure, TITLE, _keys())
    return figure


def _lines(rows: pd.DataFrame) -> list[list[tuple[str, str]]]:
    """The measures of a group, with the protocol that each was made by, so many a line."""
    found = set(zip(rows.measure, rows.protocol, strict=True))
    order = [*MEASURES]
    return wrapped([sorted(found, key=lambda one: (order.index(one[0]), one[1]))], COLUMNS)


def _heading(rows: pd.DataFrame, measure: str, protocol: str) -> str:
    """The protocol is named where a measure has several in the group."""
    several = rows.protocol[rows.measure == measure].nunique() > 1
    return f"{protocol}\n" * several + f"{MEASURES[measure]} (%)"


def _height(rows: pd.DataFrame) -> float:
    """Inches for cells, upright names, label and titles."""
    trained, tuned = _names(rows, "trained_with"), _names(rows, "tuned_with")
    return max(len(trained), 2) * CELL + LETTER * max(map(len, tuned)) + 1.0


def _label(ax: Axes, rows: pd.DataFrame) -> None:
    """The objectives that trained, beside a line of panels."""
    trained = _names(rows, "trained_with")
    ax.set_yticks(range(len(trained)), trained, fontsize=SMALL)
    ax.set_ylabel("trained with", fontsize="small")


def called(group: tuple) -> str:
    """A network, what pruned it and how far: ``cnn on digits, hydra (weight) 0.9``."""
    dataset, model, kind, unit, sparsity = group
    return f"{model} on {dataset}, {kind} ({unit}) {sparsity:g}"


def _names(rows: pd.DataFrame, side: str) -> list[str]:
    """The objectives of a side; those of both sides first, in one order."""
    both = sorted(set(rows.trained_with) & set(rows.tuned_with))
    return [*both, *sorted(set(rows[side]) - set(both))]


def _scale(percent: pd.Series) -> Normalize:
    low, high = percent.min(), percent.max()
    return Normalize(low, high if high > low else low + 1)


def _panel(ax: Axes, rows: pd.DataFrame, group: pd.DataFrame, scale: Normalize) -> None:
    """Cells with what the pair reaches and, beneath, how far that is from the outlined one's."""
    trained, tuned = _names(group, "trained_with"), _names(group, "tuned_with")
    ax.set_facecolor(GROUND)
    for row in rows.dropna(subset="percent").itertuples():
        corner = tuned.index(row.tuned_with) - 0.5, trained.index(row.trained_with) - 0.5
        colour = colormaps[COLOURS](scale(row.percent))
        ax.add_patch(Rectangle(corner, 1, 1, facecolor=colour, edgecolor="white", linewidth=0.8))
        _write(ax, row, corner, "white" if scale(row.percent) < DARK else "black")
        if row.trained_with == row.tuned_with:
            ax.add_patch(Rectangle(corner, 1, 1, zorder=4, **MATCHED))
    ax.set(xlim=(-0.5, len(tuned) - 0.5), ylim=(len(trained) - 0.5, -0.5))
    ax.set_xticks(range(len(tuned)), tuned, rotation=90, fontsize=SMALL)
    ax.set_yticks(range(len(trained)), [])
    ax.set_xlabel("fine-tuned with", fontsize="small")
    ax.grid(visible=False)


def _write(ax: Axes, row: tuple, corner: tuple[float, float], colour: str) -> None:
    lost = row.lost_points
    texts = [number(row.percent)]
    if row.trained_with != row.tuned_with and lost == lost:
        sign = "" if number(abs(lost)) == number(0.0) else "−" if lost > 0 else "+"
        texts.append(sign + number(abs(lost)))
    place = {"ha": "center", "va": "center", "fontsize": SMALL, "color": colour}
    ax.text(corner[0] + 0.5, corner[1] + 0.5, "\n".join(texts), **place)


def _keys() -> list[Line2D]:
    square = {"marker": "s", "ms": 10}
    matched = {"mfc": "white", "mec": MATCHED["edgecolor"], "mew": 2.2}
    return [
        key("the same objective twice", **square, **matched),
        key("not run", **square, color=GROUND, mec=REFERENCE, mew=0.4),
        key("beneath: points more or less than the outlined cell of the column"),
    ]

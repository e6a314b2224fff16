"""Trained with one objective and fine-tuned with another: every pair, by every measure."""

import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from thin_ice.figures.finished import Finished
from thin_ice.figures.layout import blank, head, key, panels
from thin_ice.figures.theme import REFERENCE
from thin_ice.figures.words import MEASURES, number

GROUP = ["dataset", "model", "kind", "unit", "sparsity"]
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
    """A row of panels a network, method and sparsity, a column a measure: a cell a pair."""
    groups = list(rows.groupby(GROUP, sort=False))
    measures = _measures(rows)
    sides = [(_names(here, "trained_with"), _names(here, "tuned_with")) for _, here in groups]
    heights = [max(len(trained), 2) * CELL + _beneath(tuned) for trained, tuned in sides]
    figure, axes = panels(heights, max(len(measures), 3))
    for (group, here), (trained, tuned), across in zip(groups, sides, axes, strict=True):
        for (measure, protocol), ax in zip(measures, across, strict=False):
            cells = here[(here.measure == measure) & (here.protocol == protocol)]
            _panel(ax, cells, trained, tuned, _scale(rows.percent[rows.measure == measure]))
            ax.set_title(_heading(measure, protocol, measures), fontsize="small")
        across[0].set_title(f"{called(group)}\n{across[0].get_title(loc='left')}", fontsize="small")
        across[0].set_yticks(range(len(trained)), trained, fontsize=SMALL)
        across[0].set_ylabel("trained with", fontsize="small")
        blank(across[len(measures) :])
    head(figure, TITLE, _keys())
    return figure


def _measures(rows: pd.DataFrame) -> list[tuple[str, str]]:
    """The measures with the protocol each was made by, in one order."""
    found = set(zip(rows.measure, rows.protocol, strict=True))
    return sorted(found, key=lambda one: ([*MEASURES].index(one[0]), one[1]))


def _heading(measure: str, protocol: str, measures: list[tuple[str, str]]) -> str:
    """The protocol is named where a measure has several."""
    several = sum(name == measure for name, _ in measures) > 1
    return f"{MEASURES[measure]} (%)" + f"\n{protocol}" * several


def called(group: tuple) -> str:
    """A network, what pruned it and how far: ``cnn on digits, hydra (weight) 0.9``."""
    dataset, model, kind, unit, sparsity = group
    return f"{model} on {dataset}, {kind} ({unit}) {sparsity:g}"


def _names(rows: pd.DataFrame, side: str) -> list[str]:
    """The objectives of a side; those of both sides first, in one order."""
    both = sorted(set(rows.trained_with) & set(rows.tuned_with))
    return [*both, *sorted(set(rows[side]) - set(both))]


def _beneath(names: list[str]) -> float:
    """Inches for upright names, the label and the title."""
    return LETTER * max(map(len, names)) + 0.75


def _scale(percent: pd.Series) -> Normalize:
    low, high = percent.min(), percent.max()
    return Normalize(low, high if high > low else low + 1)


def _panel(
    ax: Axes, rows: pd.DataFrame, trained: list[str], tuned: list[str], scale: Normalize
) -> None:
    """Cells with what the pair reaches and, beneath, how far that is from the outlined one's."""
    ax.set_facecolor(GROUND)
    for row in rows.dropna(subset="percent").itertuples():
        corner = tuned.index(row.tuned_with) - 0.5, trained.index(row.trained_with) - 0.5
        colour = colormaps[COLOURS](scale(row.percent))
        ax.add_patch(Rectangle(corner, 1, 1, facecolor=colour, edgecolor="white", linewidth=0.8))
        _write(ax, row, corner, "white" if scale(row.percent) < DARK else "black")
    for matched in set(trained) & set(tuned):
        corner = tuned.index(matched) - 0.47, trained.index(matched) - 0.47
        ax.add_patch(Rectangle(corner, 0.94, 0.94, zorder=4, **MATCHED))
    ax.set(xlim=(-0.5, len(tuned) - 0.5), ylim=(len(trained) - 0.5, -0.5))
    ax.set_xticks(range(len(tuned)), tuned, rotation=90, fontsize=SMALL)
    ax.set_yticks(range(len(trained)), [])
    ax.set_xlabel("fine-tuned with", fontsize="small")
    ax.grid(visible=False)


def _write(ax: Axes, row: tuple, corner: tuple[float, float], colour: str) -> None:
    lost = row.lost_points
    texts = [number(row.percent)]
    if row.trained_with != row.tuned_with and lost == lost:
        texts.append(f"{'−' if lost > 0 else '+'}{number(abs(lost))}")
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

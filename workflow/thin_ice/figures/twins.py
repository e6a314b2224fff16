"""The samples on the thinnest ice, their nearest adversarial twins, and what lies between."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from thin_ice.figures.finished import Finished, Twins
from thin_ice.figures.layout import blank, head, key, panels
from thin_ice.figures.words import number, titled

GREY = 1  # channels
ROW = 1.6  # inches an image with its words
ROWS = ("sample", "twin", "difference")
ACROSS = 8  # pictures a line; they are no larger where there are fewer
COLUMNS = [
    "run",
    "seed",
    "place",
    "sample_id",
    "label_name",
    "predicted_name",
    "distance",
    "attack",
]
TITLE = "Samples on the thinnest ice of each dense network, and their adversarial twins"


def table(finished: Finished) -> pd.DataFrame:
    """One row a sample that is drawn, the thinnest ice of a network first."""
    parts = [
        one.table.assign(run=one.run, seed=one.seed, place=range(1, len(one.table) + 1))
        for one in finished.twins
        if len(one.table)
    ]
    return pd.concat(parts, ignore_index=True)[COLUMNS] if parts else pd.DataFrame(columns=COLUMNS)


def draw(_: pd.DataFrame, finished: Finished) -> Figure:
    """Three rows of pictures: samples, twins, and the difference, magnified; a dense network's go
    on in three more where they are many.
    """
    shown = [(one, start) for one in finished.twins for start in range(0, len(one.table), ACROSS)]
    figure, axes = panels([ROW] * len(ROWS) * len(shown), ACROSS)
    blank(axes.flat)
    for number_, (one, start) in enumerate(shown):
        block = axes[len(ROWS) * number_ : len(ROWS) * (number_ + 1)]
        _network(block, one, slice(start, start + ACROSS))
        if start == 0:
            title = titled(one.run, f"dense, seed {one.seed}", finished.runs)
            first = block[0, 0]
            first.set_title(f"{title}\n{first.get_title(loc='left')}", fontsize="small")
    said = "difference: grey is none, stretched to its own largest value; the factor stands above"
    head(figure, TITLE, [key(said)])
    return figure


def _network(block: np.ndarray, one: Twins, part: slice) -> None:
    for ax, name in zip(block[:, 0], ROWS, strict=True):
        side = {"transform": ax.transAxes, "rotation": 90, "va": "center", "ha": "right"}
        ax.text(-0.08, 0.5, name, fontsize="small", **side)
    images, twins = one.images[part].astype(float) / 255, one.twins[part].astype(float)
    for place, row in enumerate(one.table[part].itertuples()):
        change = twins[place] - images[place]
        largest = float(np.abs(change).max()) or 1.0
        _picture(block[0, place], images[place], f"{row.label_name}")
        said = f"{row.predicted_name}\n{number(row.distance, 4)}"
        _picture(block[1, place], twins[place], said)
        _picture(block[2, place], 0.5 + 0.5 * change / largest, f"× {0.5 / largest:.3g}")


def _picture(ax: Axes, image: np.ndarray, words: str) -> None:
    """One picture (C, H, W) in [0, 1] with its words above."""
    grey = {"cmap": "gray", "vmin": 0, "vmax": 1} if len(image) == GREY else {}
    picture = image[0] if len(image) == GREY else np.moveaxis(image, 0, -1).clip(0, 1)
    ax.imshow(picture, interpolation="nearest", **grey)
    ax.set_title(words, fontsize="small", fontweight="normal")

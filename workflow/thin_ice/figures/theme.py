"""One look for all figures: colours, sizes, and how a figure becomes PNG and SVG.

Colours are fixed by meaning and safe for the colour-blind (Okabe and Ito 2008 for sets and
measures, Tol's muted scheme for methods). Figures are made without pyplot, so drawing leaves no
state behind, and their bytes depend on the tables alone.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from itertools import cycle, islice
from pathlib import Path

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure
from PIL import Image

from thin_ice.files import atomic_path
from thin_ice.margins.analysis import CONTROLS, DENSE, DENSE_AGAIN, SECOND_SEED

WIDTH = 11.0  # inches; shown at most 1100 CSS pixels wide
DPI = 150
TALLEST = 60_000  # pixels; a PNG of a very large study is coarser instead
COLOURS = 128  # in a PNG
FADED = "#767676"
ALARM = "#C00000"  # what contradicts AutoAttack
REFERENCE = "#333333"  # boundary, chance and zero lines

SET_COLOURS = {"kept": "#0072B2", "lost": "#D55E00", "rescued": "#009E73", "never": "#555555"}
MEASURE_COLOURS = {
    **{"clean": "#333333", "claimed": "#E69F00", "autoattack": "#0072B2"},
    "verified": "#009E73",
}
MEASURE_MARKERS = {"clean": "o", "claimed": "^", "autoattack": "s"}
METHOD_COLOURS = (
    *("#332288", "#44AA99", "#CC6677", "#999933", "#88CCEE"),
    *("#882255", "#DDCC77", "#117733", "#AA4499", "#661100"),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
CONTROL_MARKERS = {SECOND_SEED: "x", DENSE_AGAIN: "+"}

RC = {
    **sns.axes_style("whitegrid"),
    **sns.plotting_context("paper", font_scale=1.1),
    "font.family": ["DejaVu Sans"],
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "grid.color": "#e4e4e4",
    "svg.hashsalt": "thin-ice",
    "svg.fonttype": "path",
}


@contextmanager
def theme() -> Iterator[None]:
    """Draw and save under the house style, whatever the caller's settings are."""
    with mpl.rc_context(RC):
        yield


def method_colours(methods: Sequence[str]) -> dict[str, str]:
    """The same colour for a method in every figure of a study; dense and its controls are dark."""
    colours = dict(zip(methods, cycle(METHOD_COLOURS), strict=False))
    return {**colours, **dict.fromkeys((DENSE, *CONTROLS), REFERENCE)}


def sparsity_colours(sparsities: Sequence[float]) -> dict[float, str]:
    """From light to dark as more is pruned."""
    palette = sns.color_palette("flare", len(sparsities)).as_hex()
    return dict(zip(sparsities, palette, strict=True))


def network_looks(pairs: Sequence[tuple[str, float]]) -> dict[tuple[str, float], dict[str, str]]:
    """Colour and marker of each compared network: the same for a sparsity of any method; controls
    are dark.
    """
    sparsities = sorted({sparsity for method, sparsity in pairs if method not in CONTROLS})
    colours = sparsity_colours(sparsities)
    shapes = dict(zip(sparsities, markers(len(sparsities)), strict=True))
    looks = {s: {"color": colours[s], "marker": shapes[s]} for s in sparsities}
    dark = {name: {"color": REFERENCE, "marker": CONTROL_MARKERS[name]} for name in CONTROLS}
    return {pair: dark.get(pair[0]) or looks[pair[1]] for pair in pairs}


def markers(count: int) -> list[str]:
    return list(islice(cycle(MARKERS), count))


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write ``stem``.png and ``stem``.svg, without dates, so that equal tables give equal bytes."""
    png, svg = stem.with_suffix(".png"), stem.with_suffix(".svg")
    with theme():
        _settle(figure)
        with atomic_path(png) as temporary:
            _picture(figure).save(temporary, format="png", optimize=True)
        with atomic_path(svg) as temporary:
            metadata = {"Date": None, "Creator": None}
            figure.savefig(temporary, format="svg", dpi=DPI, metadata=metadata)
    return [png, svg]


def _settle(figure: Figure) -> None:
    """Lay the panels out once; doing it again for each format takes longer than drawing."""
    if layout := figure.get_layout_engine():
        layout.execute(figure)
    figure.set_layout_engine("none")
    for ax in figure.axes:  # the last bits of a layout differ from one to the next
        ax.set_position(np.round(ax.get_position(original=True).bounds, 9))


def _picture(figure: Figure) -> Image.Image:
    """The figure in the colours of one palette: a third of the bytes, and it looks the same. Chosen
    for coverage, since by frequency a colour of few points would give way to another's.
    """
    drawn = BytesIO()
    figure.savefig(drawn, format="png", dpi=min(DPI, TALLEST / figure.get_figheight()))
    return (
        Image.open(drawn)
        .convert("RGB")
        .quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    )

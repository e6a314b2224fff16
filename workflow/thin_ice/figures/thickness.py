"""How thick the ice must be: a falling fit of the chance to be lost, and the ice thickness on it.

The fit is the least-squares one among those that never rise with distance (isotonic regression,
by pooling adjacent violators); it depends on the order of distances alone, so that an infinite one
is merely the last.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.optimize import isotonic_regression

from thin_ice.figures.by_method import by_method
from thin_ice.figures.finished import Finished, Pair
from thin_ice.figures.layout import head, key, network_keys, note
from thin_ice.figures.theme import FADED, network_looks
from thin_ice.figures.words import distance_unit
from thin_ice.margins.analysis import CONTROLS

KEYS = ["run", "correctness", "norm", "method", "sparsity", "seed"]
FIT, MARK = "fit", "thickness"
COLUMNS = [*KEYS, "kind", "from_distance", "to_distance", "share", "low", "high", "samples", "lost"]
FARTHEST = 0.98  # of the samples' distances; the axis ends there
SHOWN_ON = 0.1  # of its beginning, of a step that reaches to infinity
TITLE = "Chance to be lost, fitted to fall with distance, and the ice thickness"


def table(finished: Finished) -> pd.DataFrame:
    """Rows of two kinds, a pair, seed and kind of correctness each. ``fit``: one row a step of the
    fit, from and to which distance of a sample it holds, its share lost, and of how many samples.
    ``thickness``: one row a share of the thickness table; ``to_distance`` is the ice thickness at
    that share, ``low`` and ``high`` its interval.
    """
    samples = finished.main_samples
    right = samples[samples.set.isin(["kept", "lost"])]
    steps = [
        _steps(here).assign(**dict(zip(KEYS, names, strict=True)))
        for names, here in right.groupby(KEYS, sort=False)
    ]
    return pd.concat([pd.DataFrame(columns=COLUMNS), *steps, _marks(finished)])[
        COLUMNS
    ].reset_index(drop=True)


def _steps(right: pd.DataFrame) -> pd.DataFrame:
    """The steps of the fit; samples at one distance are one point of it, with their weight."""
    points = (
        (right.set == "lost").groupby(right.boundary_distance.astype(float)).agg(["mean", "size"])
    )
    fit = isotonic_regression(points["mean"], weights=points["size"], increasing=False)
    step = np.repeat(np.arange(len(fit.blocks) - 1), np.diff(fit.blocks))
    lost = (points["mean"] * points["size"]).to_numpy()
    rows = pd.DataFrame({"distance": points.index, "samples": points["size"].to_numpy()})
    rows = rows.assign(lost=lost, share=fit.x).groupby(step)
    steps = rows.agg(
        from_distance=("distance", "first"),
        to_distance=("distance", "last"),
        share=("share", "first"),
        samples=("samples", "sum"),
        lost=("lost", "sum"),
    )
    return steps.assign(kind=FIT, lost=steps.lost.round().astype(int))


def _marks(finished: Finished) -> pd.DataFrame:
    if finished.thickness.empty:
        return pd.DataFrame(columns=COLUMNS)
    rows = finished.main(finished.thickness)
    names = {"thickness": "to_distance", "thickness_low": "low", "thickness_high": "high"}
    return rows.rename(columns=names).assign(kind=MARK)


def draw(rows: pd.DataFrame, finished: Finished) -> Figure:
    """A row of panels a run and method, a column a kind of correctness; a line a sparsity, control
    and seed, and the ice thickness where it crosses each share.
    """
    looks = network_looks(finished.all_pairs)

    def panel(ax: Axes, run: str, method: str, view: str) -> None:
        here = rows[(rows.run == run) & (rows.correctness == view)]
        _panel(ax, here[here.method.isin([method, *CONTROLS])], looks)

    x_label = f"distance to the boundary ({distance_unit(finished.norm)})"
    figure = by_method(finished, 2.6, panel, x_label, "chance to be lost")
    keys = network_keys(finished.all_pairs, linestyle="-")
    mark = key("ice thickness at that share, 95 % interval", marker="_", ms=12, mew=2, color=FADED)
    head(figure, TITLE, [*keys, mark])
    return figure


def _panel(ax: Axes, rows: pd.DataFrame, looks: dict[Pair, dict[str, str]]) -> None:
    fits, marks = rows[rows.kind == FIT], rows[rows.kind == MARK]
    for share in sorted(set(marks.share)):
        ax.axhline(share, color=FADED, linewidth=0.7, linestyle=":", zorder=1)
    for (method, sparsity, _), fit in fits.groupby(["method", "sparsity", "seed"]):
        x = fit[["from_distance", "to_distance"]].to_numpy(float).ravel()
        x = np.where(np.isinf(x), 2 * _end(fits), x)  # a line to infinity would not be drawn
        ax.plot(
            x,
            np.repeat(fit.share.to_numpy(float), 2),
            lw=1.1,
            alpha=0.8,
            color=looks[method, sparsity]["color"],
        )
    for row in marks[np.isfinite(marks.to_distance.astype(float))].itertuples():
        look = {**looks[row.method, row.sparsity], "markersize": 5}
        ends = np.nan_to_num([row.low, row.high], nan=row.to_distance, posinf=_end(fits))
        ax.plot(ends, [row.share] * 2, color=look["color"], linewidth=2.4, alpha=0.55, zorder=3)
        ax.plot(row.to_distance, row.share, linestyle="none", zorder=4, **look)
    if fits.empty:
        note(ax, "the dense network has no sample right")
    ax.set(ylim=(-0.03, 1.03), xlim=(-0.02 * _end(fits), _end(fits)))


def _end(fits: pd.DataFrame) -> float:
    """Where the axis ends: the distance that nearly all samples are below; a step without an end
    is shown from its beginning a little on.
    """
    first, last = (fits[name].astype(float) for name in ("from_distance", "to_distance"))
    ends = last.where(np.isfinite(last), (1 + SHOWN_ON) * first)
    steps = fits.assign(to_distance=ends)[np.isfinite(ends)].sort_values("to_distance")
    if steps.empty:
        return 1.0
    reached = steps.samples.cumsum() >= FARTHEST * steps.samples.sum()
    return float(steps.to_distance[reached].iloc[0]) or 1.0

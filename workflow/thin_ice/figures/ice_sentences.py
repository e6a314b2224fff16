"""What the figures of who is lost show: a sentence each, computed from the table behind it."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from thin_ice.figures.finished import FEW_SAMPLES
from thin_ice.figures.sentences import joined
from thin_ice.figures.thickness import MARK
from thin_ice.figures.words import counted, listing, norm_name, number, predictor_name, span
from thin_ice.margins.analysis import CONTROLS

DISTANCE, OTHER_SEED = "distance", "other_seed_distance"
SEEN_AT = 0.2  # the share lost whose ice thickness is told
SURE = 0.05
PRUNED, CONTROL = "comparison", "control"


def _by_view(rows: pd.DataFrame, say: Callable[[pd.DataFrame], str]) -> str:
    """A clause a kind of correctness."""
    return joined([f"{view}: {say(here)}" for view, here in rows.groupby("correctness")])


def _apart(rows: pd.DataFrame, say: Callable[[pd.DataFrame, str], str]) -> str:
    """A clause of pruned networks, then one of controls, where there are such."""
    control = rows.method.isin(CONTROLS)
    parts = [(rows[~control], PRUNED), (rows[control], CONTROL)]
    return ", ".join(say(here, what) for here, what in parts if len(here))


def densities_sentence(bins: pd.DataFrame) -> str:
    """How much of their area the histograms of lost and kept samples share."""
    areas = "area that the histograms of lost and kept samples share"
    return _by_view(bins, lambda here: f"{areas}: {_apart(here, _shared_areas)}")


def _shared_areas(bins: pd.DataFrame, what: str) -> str:
    areas = [_shared(one) for _, one in bins.groupby(["run", "method", "sparsity"])]
    told = [area for area in areas if area is not None]
    if not told:
        return f"too few samples to say in {counted(len(areas), what)}"
    return f"{span(told, 0)} % in {counted(len(told), what)}"


def _shared(bins: pd.DataFrame) -> float | None:
    """In percent: 100 for equal histograms, 0 for ones apart; None where a set is too small."""
    sets = {name: bins[bins.set == name].set_index("from_distance") for name in ("lost", "kept")}
    if min(one.samples.sum() for one in sets.values()) < FEW_SAMPLES:
        return None
    return 100 * float(np.minimum(sets["lost"].share, sets["kept"].share).sum())


def thickness_sentence(rows: pd.DataFrame) -> str:
    """The ice thickness at one share lost, of pruned networks and of controls."""
    marks = rows[(rows.kind == MARK) & np.isclose(rows.share.astype(float), SEEN_AT)]
    if marks.empty:
        return "The analysis gives no ice thickness."
    share = f"{100 * SEEN_AT:.0f} %"
    text = f"the ice thickness at {share} lost is"
    return _by_view(marks, lambda here: f"{text} {_apart(here, _thick)}")


def _thick(marks: pd.DataFrame, what: str) -> str:
    """Of a dense network without a right sample nothing is known."""
    values = marks.to_distance.astype(float).dropna()
    if values.empty:
        return f"unknown in {counted(len(marks), what)}"
    some = values[values > 0].tolist()
    none = len(values) - len(some)
    text = f"{span(some, 3) if some else '0'} in {counted(len(some) or none, what)}"
    return text + (f" (0 in {none} more)" if none and some else "")


def rivals_sentence(rows: pd.DataFrame) -> str:
    """Distance beside the best of its rivals, and how often its gain's interval lies off 0."""
    pruned = rows[~rows.method.isin(CONTROLS)]
    if pruned.empty:
        return "No pruned network was compared."
    told = pruned[~pruned.too_few]
    if told.empty:
        few = counted(len(pruned), "row")
        return f"Too few samples are lost or kept to compare predictors ({few})."
    return _by_view(told, _view_rivals)


def _view_rivals(rows: pd.DataFrame) -> str:
    own = rows[rows.predictor == DISTANCE].auroc
    rivals = rows[~rows.predictor.isin([DISTANCE, OTHER_SEED])]
    text = f"distance has an AUROC of {span(own.tolist(), 2)} (mean {number(own.mean(), 2)})"
    control = rows[rows.predictor == OTHER_SEED].auroc
    if len(control):
        text += f", measured on the other seed's network a mean of {number(control.mean(), 2)}"
    if rivals.empty:
        return text
    means = rivals.groupby("predictor", sort=False).auroc.mean()
    ahead, behind = (rivals.auroc_gain_low > 0).sum(), (rivals.auroc_gain_high < 0).sum()
    return (
        f"{text}, the best rival, {predictor_name(str(means.idxmax()))}, a mean of "
        f"{number(means.max(), 2)}; the 95 % interval of distance's gain lies above 0 in {ahead} "
        f"and below 0 in {behind} of {counted(len(rivals), 'pairing')}, not corrected for their "
        "number"
    )


def classes_sentence(rows: pd.DataFrame, classes: pd.DataFrame) -> str:
    """Which class loses most, and how many tests of a class against the others stand. ``rows``: the
    table behind the figure; ``classes``: that of the analysis, with its tests.
    """
    pruned = rows[~rows.method.isin(CONTROLS) & (rows.right > 0)]
    if pruned.empty:
        return "No pruned network was compared in a class that the dense networks have right."
    tests = classes[~classes.method.isin(CONTROLS)]

    def say(here: pd.DataFrame) -> str:
        view = tests[tests.correctness == here.correctness.iloc[0]].adjusted_p.dropna()
        means = here.groupby("label").lost_percent.mean()
        return (
            f"class {means.idxmax()} loses most, {number(means.max())} % on average, class "
            f"{means.idxmin()} least, {number(means.min())} %; {int((view < SURE).sum())} of "
            f"{counted(len(view), 'test')} of a class against the others stand after correction"
        )

    return _by_view(pruned, say)


def overlap_sentence(rows: pd.DataFrame, overlap: pd.DataFrame) -> str:
    """Whether pruned networks lose the same samples, and whether the ice cracks in order. ``rows``:
    the table behind the figure; ``overlap``: that of the analysis.
    """
    pruned = rows[~_with_control(rows)].dropna(subset="jaccard")
    if pruned.empty:
        return "There are no two pruned networks that lose samples to compare."
    order = nested(overlap)

    def say(here: pd.DataFrame) -> str:
        above = int((here.jaccard > here.jaccard_by_chance).sum())
        text = (
            f"lost sets overlap by a Jaccard index of {span(here.jaccard.tolist(), 2)} "
            f"({span(here.jaccard_by_chance.tolist(), 2)} by chance), above chance in {above} of "
            f"{counted(len(here), 'pair')} of pruned networks"
        )
        return text + _in_order(order[order.correctness == here.correctness.iloc[0]])

    return _by_view(pruned, say)


def nested(overlap: pd.DataFrame) -> pd.DataFrame:
    """Rows of one method at two sparsities, the lower one first, that lose something at it."""
    same = overlap[(overlap.method_a == overlap.method_b) & ~overlap.method_a.isin(CONTROLS)]
    return same[(same.sparsity_a < same.sparsity_b) & (same.lost_a > 0)]


def _in_order(rows: pd.DataFrame) -> str:
    if rows.empty:
        return ""
    return (
        f"; of what a method loses at a lower sparsity, {span(rows.inside_percent.tolist(), 0)} % "
        f"is lost at a higher one too ({span(rows.inside_by_chance_percent.tolist(), 0)} % by "
        "chance)"
    )


def _with_control(rows: pd.DataFrame) -> pd.Series:
    return rows.method_a.isin(CONTROLS) | rows.method_b.isin(CONTROLS)


def movement_sentence(movement: pd.DataFrame) -> str:
    """``movement``: the analysis's table in the norm shown. How far each set's median moved."""
    told = movement[(movement.samples > 0) & movement.change_median.notna()]
    if told.empty:
        return "No sample has a found distance on two networks that are compared."
    clauses = []
    for what, rows in (
        ("pruned", told[~told.method.isin(CONTROLS)]),
        ("control", told[told.method.isin(CONTROLS)]),
    ):
        sets = [
            f"{name} {span(here.change_median.tolist(), 3)}"
            for name, here in rows.groupby("set", sort=False, observed=True)
        ]
        if sets:
            clauses.append(f"on {what} networks by {listing(sets)}")
    return joined([f"the median signed distance changes {', '.join(clauses)}"])


def twins_sentence(rows: pd.DataFrame, eps: float, norm: str) -> str:
    """How far the thinnest ice reaches, and into which class it breaks most often."""
    if rows.empty:
        return "No dense network has a correct sample with a found distance."
    distances = rows.distance.astype(float)
    ways = (rows.label_name.astype(str) + " → " + rows.predicted_name.astype(str)).value_counts()
    percent = (100 * distances / eps).tolist()
    return (
        f"The {len(rows)} samples flip within {span(distances.tolist(), 4)} ({norm_name(norm)}), "
        f"{span(percent, 0)} % of ε; most often {ways.index[0]} ({ways.iloc[0]} of {len(rows)})."
    )

"""What the figures of what pruning keeps and of what is proved show, each in one sentence."""

import pandas as pd

from thin_ice.figures.mismatch import GROUP
from thin_ice.figures.preservation import MEAN, NETWORK
from thin_ice.figures.sentences import joined
from thin_ice.figures.words import MEASURES, counted, eps_name, number, span
from thin_ice.margins.analysis import CONTROLS


def preservation_sentence(rows: pd.DataFrame) -> str:
    """``rows``: the table behind the figure. What methods keep on average at the sparsity that
    averages are published for, or else at the highest.
    """
    pruned = rows[~rows.method.isin(CONTROLS)]
    means = pruned[(pruned.shown == MEAN) & pruned.kept_percent.notna()]
    if means.empty:
        return "No pruned network has a dense one with anything to keep."
    published = means.sparsity[means.published_percent.notna()]
    sparsity = float(published.max() if len(published) else means.sparsity.max())
    here = means[means.sparsity == sparsity]
    parts = [_kept(name, here[here.measure == name]) for name in MEASURES]
    count = here.method.nunique()
    methods = f"{counted(count, 'method')} keep{'s' * (count == 1)}"
    kept = f"at sparsity {sparsity:g} {methods} on average: {', '.join(filter(None, parts))}"
    return joined([kept], _with_fallen(pruned[pruned.sparsity == sparsity]))


def _kept(name: str, means: pd.DataFrame) -> str:
    """Of one measure: over the networks trained for it, or over all where there are none."""
    own = means[means.own == "yes"]
    shown = means if own.empty else own
    if shown.empty:
        return ""
    several = "s" * int(shown.networks.max() > 1)
    networks = f"{span(shown.networks.tolist(), 0)} network{several}"
    whose = " trained for it" if len(own) else ", none trained for it"
    published = shown.published_percent.dropna().unique()
    beside = f"; published {number(published[0])} %" if len(published) else ""
    return f"{MEASURES[name]} {span(shown.kept_percent.tolist())} % ({networks}{whose}{beside})"


def _with_fallen(rows: pd.DataFrame) -> str:
    """How many networks in these averages have collapsed; each has a row a measure."""
    fallen = rows[(rows.shown == NETWORK) & (rows.collapsed > 0)]
    count = len(fallen.drop_duplicates(["run", "seed", "method"]))
    return f"; {counted(count, 'network')} among them collapsed or came from one that did" * (
        count > 0
    )


def mismatch_sentence(rows: pd.DataFrame) -> str:
    """``rows``: the table behind the figure. Of networks that are fine-tuned after a measure,
    whether those that were trained with the same objective have the most of it.
    """
    other = rows[
        rows.of_goal.astype(bool)
        & (rows.trained_with != rows.tuned_with)
        & rows.lost_points.notna()
    ]
    if other.empty:
        return "No network was trained and fine-tuned with what others were fine-tuned with alone."
    parts = [_held(name, other[other.measure == name]) for name in MEASURES]
    return joined(
        [
            "fine-tuned after a measure, networks trained with the same objective have at least as "
            f"much of it as those trained with any other: {', '.join(filter(None, parts))}"
        ]
    )


def _held(name: str, other: pd.DataFrame) -> str:
    """Of one measure, in how many cases, and what the others lose."""
    if other.empty:
        return ""
    least = other.groupby([*GROUP, "protocol", "tuned_with"]).lost_points.min()
    held, lost = int((least >= 0).sum()), span(other.lost_points.tolist())
    return f"{MEASURES[name]} in {held} of {len(least)} (the others lose {lost} points)"


def certified_sentence(curves: pd.DataFrame, eps: float) -> str:
    """What is proved at the study's eps, what stands under attack, and what lies between."""
    here = curves[curves.at_eps == "yes"]
    proved, attacked = here.certified_percent, here.robust_percent
    wrong = curves[curves.certified_percent > curves.robust_percent]
    names = ["run", "seed", "method", "sparsity"]
    broken = len(wrong[names].drop_duplicates())
    tail = f"; {counted(broken, 'network')} with proofs beyond a found flip" * (broken > 0)
    return joined(
        [
            f"at ε = {eps_name(eps)}, {span(proved.tolist())} % of the samples of "
            f"{counted(len(here), 'network')} are proved robust and no attack flips "
            f"{span(attacked.tolist())} %, so that of {span((attacked - proved).tolist())} % it is "
            "unknown"
        ],
        tail,
    )


def smoothed_sentence(curves: pd.DataFrame, sigma: float) -> str:
    """Certified accuracy of the smoothed networks at no radius, and at one sigma."""
    zero, there = (curves[curves.eps == radius] for radius in (0, sigma))
    return joined(
        [
            f"of {counted(len(zero), 'smoothed network')}, certified accuracy is "
            f"{span(zero.certified_percent.tolist())} % at radius 0 and "
            f"{span(there.certified_percent.tolist())} % at {sigma:g}, the deviation of the noise"
        ]
    )

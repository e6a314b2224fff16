"""Do two networks lose the same samples? Of one method at two sparsities: does the ice crack in
order, the samples lost at the lower sparsity among those lost at the higher?
"""

from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import hypergeom

from thin_ice.evaluation.proportions import percent_with_interval
from thin_ice.margins.resampling import Flags
from thin_ice.margins.views import View

SUBJECT = ("run", "seed", "correctness")
COLUMNS = (
    *SUBJECT,
    *("method_a", "sparsity_a", "method_b", "sparsity_b", "lost_a", "lost_b", "both", "either"),
    *("jaccard", "jaccard_by_chance", "inside_percent", "inside_low", "inside_high"),
    "inside_by_chance_percent",
)


def overlap_table(views: list[View]) -> pd.DataFrame:
    """One row for every two networks compared with the same dense one; of two with the same method
    ``a`` is the sparser one's lesser: it has the lower sparsity.

    Both lost sets are among the samples that the dense network has right. ``jaccard``: both over
    either, NaN where neither lost any; ``inside_percent``: the share of a's lost that b lost as
    well, with Wilson's interval at 95 %. By chance: what sets of these sizes would share on
    average if each were drawn at random from those samples.
    """
    groups: dict[tuple, list[View]] = {}
    for view in views:
        groups.setdefault(tuple(view.labels[name] for name in SUBJECT), []).append(view)
    rows = [
        dict(zip(SUBJECT, subject, strict=True)) | _names(a, b) | overlap(a.lost, b.lost)
        for subject, members in groups.items()
        for a, b in combinations(_in_order(members), 2)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _in_order(views: list[View]) -> list[View]:
    methods = list(dict.fromkeys(view.labels["method"] for view in views))
    return sorted(views, key=lambda v: (methods.index(v.labels["method"]), v.labels["sparsity"]))


def _names(a: View, b: View) -> dict[str, object]:
    return {
        f"{name}_{end}": view.labels[name]
        for end, view in (("a", a), ("b", b))
        for name in ("method", "sparsity")
    }


def overlap(a: Flags, b: Flags) -> dict[str, float]:
    """The numbers of one row: two lost sets as flags (N,) on the same samples."""
    lost_a, lost_b, both = int(a.sum()), int(b.sum()), int((a & b).sum())
    either = lost_a + lost_b - both
    return {
        "lost_a": lost_a,
        "lost_b": lost_b,
        "both": both,
        "either": either,
        "jaccard": both / either if either else np.nan,
        "jaccard_by_chance": jaccard_by_chance(lost_a, lost_b, len(a)),
        **percent_with_interval(both, lost_a, ("inside_percent", "inside_low", "inside_high")),
        "inside_by_chance_percent": 100 * lost_b / len(a) if len(a) else np.nan,
    }


def jaccard_by_chance(first: int, second: int, samples: int) -> float:
    """Expected Jaccard index of two sets of these sizes, each drawn at random from ``samples``:
    what they share is hypergeometric. NaN where both are empty.
    """
    if first + second == 0:
        return np.nan
    shared = np.arange(max(0, first + second - samples), min(first, second) + 1)
    chance = hypergeom.pmf(shared, samples, first, second)
    return float(chance @ (shared / (first + second - shared)))

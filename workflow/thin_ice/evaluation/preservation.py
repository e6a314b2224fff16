"""What pruning preserves: each accuracy of a pruned network in percent of its dense network's.

Sehwag, Wang, Mittal and Jana (2019, Towards Compact and Robust Deep Neural Networks, arXiv
1906.06110) measure it for benign, empirical robust and verifiable robust accuracy, and average it
over four networks on CIFAR-10. ``autoattack`` and ``smoothed`` are ours. ``empirical`` is by the
protocol that the method's authors claim, run on both networks; a network of which nobody claims
anything has none. How an average is made there, the abstract does not say: here it is the mean of
the networks' ratios, each network counted once.

The interval of a ratio is over the test samples, both networks held fixed. A percentile bootstrap
of the pairs alone has no width where nothing changed: in simulations of 60 to 1,000 samples with 3
to 95 % right before and 5 to 100 % of them kept it covered 3 to 96 %. So at each end the wider of
it and of Bonett & Price's (2006) hybrid of Wilson's intervals is taken, which covered 93 to 100 %,
as their interval does alone.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from thin_ice.evaluation.collapse import collapsed
from thin_ice.evaluation.overestimate import QUANTILES, interval
from thin_ice.evaluation.proportions import Z
from thin_ice.evaluation.same_samples import require_same_samples
from thin_ice.evaluation.summary import NETWORK, NO_PROTOCOL

BENIGN = "benign"
GOAL = {  # by measure, the goal of the objectives that are after it
    "benign": BENIGN,
    "empirical": "empirical",
    "autoattack": "empirical",
    "verified": "verified",
    "smoothed": "smoothed",
}
MEASURES = tuple(GOAL)
PUBLISHED = {"benign": 93.0, "empirical": 92.5, "verified": 85.0}  # kept percent, abstract
PUBLISHED_SPARSITY = 0.9  # 10 times fewer weights
OVER = ("all", "own")
FEWEST = 3  # networks that an interval is told of

KEPT = ("kept_percent", "kept_low", "kept_high")
POINTS = ("points", "points_low", "points_high")
COLUMNS = (
    *NETWORK,
    *("collapse", "dense_collapse", "measure", "protocol", "samples"),
    *("dense_percent", "pruned_percent", *KEPT, *POINTS),
)
GROUP = ["method", "kind", "unit", "sparsity", "measure"]
AVERAGED = (
    *GROUP,
    *("over", "networks", "collapsed", "without_ratio", "dense_percent", "pruned_percent"),
    *(*KEPT, "lowest", "highest", "published_percent"),
)


@dataclass(frozen=True)
class Measured:
    """One network's per-sample outcomes.

    Attributes:
        names: as the study has them, `NETWORK` among them.
        collapse: its signs of a collapse, as the table of accuracies has them.
        protocols: the claimed ones that attacked it.
        samples: its evaluation.
        certified: what was proved of it, if that was asked.
    """

    names: dict
    collapse: str
    protocols: tuple[str, ...]
    samples: pd.DataFrame
    certified: pd.DataFrame | None = None

    @property
    def identity(self) -> tuple[str, int, str]:
        return self.names["run"], self.names["seed"], self.names["variant"]

    def outcomes(self, protocols: tuple[str, ...]) -> Iterator[tuple[str, str, pd.Series]]:
        """Measure, protocol, and by sample id whether the network has the sample right."""
        samples = self.samples.set_index("sample_id")
        yield "benign", NO_PROTOCOL, samples.correct
        for name in protocols:
            yield "empirical", name, samples[f"claimed_{name}"]
        yield "autoattack", NO_PROTOCOL, samples.robust
        if self.certified is None:
            return
        proved = self.certified.set_index("sample_id")
        yield "verified", NO_PROTOCOL, proved.verified
        if "smoothed_radius" in proved:
            yield "smoothed", NO_PROTOCOL, proved.smoothed_radius > 0


def preservation_table(networks: list[Measured], resamples: int, seed: int) -> pd.DataFrame:
    """One row a network made from a dense one and measure, in the order of ``networks``.

    Columns: the network's names; its signs of a collapse and the dense network's; the measure, with
    the protocol where it has one; samples; both accuracies in percent; ``kept_percent``, their
    ratio, with its interval at 95 %, NaN where the dense network has nothing to keep; and the
    ``points`` lost, dense minus pruned, with theirs.

    Raises:
        DifferentSamples: two tables that belong together hold other samples.
    """
    found = {one.identity: one for one in networks}
    rows = [
        row
        for one in networks
        if (dense := found[(*one.identity[:2], "dense")]) is not one
        for row in _rows(dense, one, resamples, seed)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _rows(dense: Measured, made: Measured, resamples: int, seed: int) -> Iterator[dict]:
    _require_alike(dense, made)
    names = {name: made.names[name] for name in NETWORK}
    names |= {"collapse": made.collapse, "dense_collapse": dense.collapse}
    both = zip(dense.outcomes(made.protocols), made.outcomes(made.protocols), strict=True)
    for (measure, protocol, before), (*_, after) in both:
        first = before.to_numpy(bool)
        second = after.reindex(before.index).to_numpy(bool)
        row = {"measure": measure, "protocol": protocol, "samples": len(first)}
        row |= {"dense_percent": 100 * first.mean(), "pruned_percent": 100 * second.mean()}
        row |= zip(KEPT, kept_interval(first, second, resamples, seed), strict=True)
        lost = first.astype(float) - second
        yield names | row | dict(zip(POINTS, interval(lost, resamples, seed), strict=True))


def _require_alike(dense: Measured, made: Measured) -> None:
    require_same_samples(dense.samples, made.samples, "the two networks' evaluations")
    for one in (dense, made):
        if one.certified is not None:
            what = "a network's evaluation and what was proved of it"
            require_same_samples(one.samples, one.certified, what)


def kept_interval(
    before: np.ndarray, after: np.ndarray, resamples: int, seed: int
) -> tuple[float, float, float]:
    """What is right afterwards in percent of what was right before, with its interval at 95 %; NaN
    where nothing was.

    Args:
        before: bool (N,), the dense network's outcomes.
        after: bool (N,), the other network's of the same samples.
        resamples: of the bootstrap; those in which nothing was right before have no ratio and are
            left out.
        seed: of the resamples.
    """
    kept, lost, gained = (int(x.sum()) for x in (before & after, before & ~after, after & ~before))
    if not kept + lost:
        return np.nan, np.nan, np.nan
    counts = np.array([kept, lost, gained, len(before) - kept - lost - gained])
    draws = np.random.default_rng(seed).multinomial(len(before), counts / len(before), resamples)
    draws = draws[draws[:, :2].sum(axis=1) > 0]
    low, high = np.quantile((draws[:, 0] + draws[:, 2]) / draws[:, :2].sum(axis=1), QUANTILES)
    least, most = paired_ratio_interval(kept, lost, gained)
    ratio = (kept + gained) / (kept + lost)
    return 100 * ratio, 100 * min(float(low), least), 100 * max(float(high), most)


def paired_ratio_interval(kept: int, lost: int, gained: int) -> tuple[float, float]:
    """Of (kept + gained) / (kept + lost), at 95 %: Bonett & Price (2006, Confidence intervals for a
    ratio of binomial proportions based on paired data, Statistics in Medicine 25).

    Wilson's interval of each of the two shares among the samples that either network has right, at
    a level that makes the quotients of their opposite ends an interval of the ratio at 95 %.
    """
    size = kept + lost + gained
    after, before = kept + gained, kept + lost
    spread = math.sqrt((lost + gained + 2) / ((after + 1) * (before + 1)))
    own = (math.sqrt((1 - (count + 1) / (size + 2)) / (count + 1)) for count in (after, before))
    level = Z * spread / sum(own)
    (low, high), (least, most) = (_wilson_ends(count, size, level) for count in (after, before))
    return low / most, high / least


def _wilson_ends(count: int, size: int, level: float) -> tuple[float, float]:
    """Of a share, at ``level`` standard deviations."""
    half = level * math.sqrt(level**2 + 4 * count * (1 - count / size))
    middle, scale = 2 * count + level**2, 2 * (size + level**2)
    return (middle - half) / scale, (middle + half) / scale


def averages(preservation: pd.DataFrame) -> pd.DataFrame:
    """One row a method, sparsity, measure and ``over``: ``all`` networks, or the measure's ``own``:
    trained and fine-tuned after one and the same goal, and that goal is the measure's; any goal
    where the measure is benign accuracy, which every objective is to keep.

    Columns: how many networks, of how many it or its dense network collapsed (they count), and how
    many have no ratio, because the dense network has nothing to keep (they do not); means of both
    accuracies; ``kept_percent``, the mean of the ratios, with a t-interval at 95 % over
    networks from `FEWEST` on, and the lowest and highest ratio; and the published average at the
    sparsity that has one. The interval takes networks for independent draws; seeds of one run are
    more alike than runs are, so over several seeds of several runs it is too narrow.
    """
    rows = [
        dict(zip(GROUP, key, strict=True)) | {"over": over} | _averaged(here, key[-1], key[3])
        for over in OVER
        for key, here in _chosen(preservation, over).groupby(GROUP, sort=False)
    ]
    return pd.DataFrame(rows, columns=AVERAGED)


def _chosen(preservation: pd.DataFrame, over: str) -> pd.DataFrame:
    if over == "all" or preservation.empty:
        return preservation
    return preservation[trained_for(preservation)]


def trained_for(preservation: pd.DataFrame) -> pd.Series:
    """Whether each row's network was trained and fine-tuned after one goal, its measure's; bool."""
    sought = preservation.goal == preservation.measure.map(GOAL)
    sought |= preservation.measure == BENIGN
    return sought & (preservation.goal == preservation.tuned_goal)


def _averaged(here: pd.DataFrame, measure: str, sparsity: float) -> dict[str, float]:
    gone = collapsed(here) | collapsed(here.assign(collapse=here.dense_collapse))
    ratios = here.kept_percent.dropna().to_numpy(float)
    published = np.isclose(sparsity, PUBLISHED_SPARSITY)
    return {
        "networks": len(here),
        "collapsed": int(gone.sum()),
        "without_ratio": len(here) - len(ratios),
        "dense_percent": float(here.dense_percent.mean()),
        "pruned_percent": float(here.pruned_percent.mean()),
        **dict(zip(KEPT, _mean_with_interval(ratios), strict=True)),
        "lowest": float(ratios.min()) if len(ratios) else np.nan,
        "highest": float(ratios.max()) if len(ratios) else np.nan,
        "published_percent": PUBLISHED.get(measure, np.nan) if published else np.nan,
    }


def _mean_with_interval(ratios: np.ndarray) -> tuple[float, float, float]:
    """Mean and Student's interval at 95 % of networks' ratios; NaN where there are too few."""
    if not len(ratios):
        return np.nan, np.nan, np.nan
    mean = float(ratios.mean())
    if len(ratios) < FEWEST:
        return mean, np.nan, np.nan
    half = float(stdtrit(len(ratios) - 1, QUANTILES[1]) * ratios.std(ddof=1) / len(ratios) ** 0.5)
    return mean, mean - half, mean + half

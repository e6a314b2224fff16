"""Bootstraps as matrices: how often each sample occurs in each resample, and what follows.

One set of resamples serves every score of a pair of networks, so that their differences are paired.
A row is a sample and a column a resample: sums over samples then run along memory.
"""

import numpy as np
from numpy.typing import NDArray

QUANTILES = (0.025, 0.975)

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]
Counts = NDArray[np.uint8]  # (samples, resamples); no sample is ever drawn 256 times
Places = NDArray[np.intp]


def stratified_counts(lost: Flags, resamples: int, rng: np.random.Generator) -> Counts:
    """Resamples of the lost and of the kept, each set on its own with its size held; in each
    resample the lost are drawn first.
    """
    counts = np.empty((resamples, len(lost)), np.uint8)
    places = [np.flatnonzero(lost), np.flatnonzero(~lost)]
    for row in counts:
        for place in places:
            row[place] = _drawn(len(place), rng)
    return np.ascontiguousarray(counts.T)


def plain_counts(samples: int, resamples: int, rng: np.random.Generator) -> Counts:
    """Resamples of all samples together."""
    counts = np.empty((resamples, samples), np.uint8)
    for row in counts:
        row[:] = _drawn(samples, rng)
    return np.ascontiguousarray(counts.T)


def once(samples: int) -> Counts:
    """The samples themselves, as one resample that holds each of them once."""
    return np.ones((samples, 1), np.uint8)


def _drawn(size: int, rng: np.random.Generator) -> NDArray[np.intp]:
    return np.bincount(rng.integers(size, size=size), minlength=size)


def along(scores: Values, lost: Flags, counts: Counts) -> tuple[Values, Values, Values, Values]:
    """Walk through the samples by ascending score, stopping where somebody was lost.

    Returns:
        The G scores at which there are lost samples, ascending; and of each resample (G, R) the
        lost samples of just that score, the kept ones below it, and the kept ones up to it.
    """
    values, place = np.unique(scores, return_inverse=True)
    near, far = (np.flatnonzero(flags) for flags in (lost, ~lost))
    near, far = near[np.argsort(place[near])], far[np.argsort(place[far])]
    places, first = np.unique(place[near], return_index=True)
    hits = np.add.reduceat(counts[near], first, axis=0, dtype=np.float64)
    begin, end = (np.searchsorted(place[far], places, side) for side in ("left", "right"))
    cuts = np.unique(np.concatenate([begin, end]))
    sums = _running_sums(counts[far], cuts)
    return values[places], hits, *(sums[np.searchsorted(cuts, at)] for at in (begin, end))


def _running_sums(counts: Counts, cuts: Places) -> Values:
    """Sums (G, R) of the first rows, up to each of the ascending ``cuts``."""
    sums = np.empty((len(cuts), counts.shape[1]))
    done, total = 0, np.zeros(counts.shape[1])
    for index, cut in enumerate(cuts):
        total += counts[done:cut].sum(axis=0, dtype=np.int32)
        sums[index], done = total, cut
    return sums


def aurocs(scores: Values, lost: Flags, counts: Counts) -> Values:
    """Of each resample (R,): the chance that a lost sample has a lower score than a kept one, ties
    half. See `ranking_statistics`.
    """
    return ranking_statistics(scores, lost, counts)[0]


def ranking_statistics(scores: Values, lost: Flags, counts: Counts) -> tuple[Values, Values]:
    """AUROC and average precision (R,) of each resample, a low score flagging a sample as lost.

    Samples of equal score are flagged together: they share a rank, and average precision steps
    once for all of them (as in scikit-learn).

    Args:
        scores: (N,), without NaN; infinite ones are flagged last.
        lost: (N,), at least one and not all.
        counts: (N, R); each resample holds both kinds.
    """
    _, hits, below, upto = along(scores, lost, counts)
    found = hits.cumsum(axis=0)
    kept = counts[~lost].sum(axis=0, dtype=np.float64)
    wins = (hits * (kept - (below + upto) / 2)).sum(axis=0)
    precision = (hits * found / np.maximum(found + upto, 1)).sum(axis=0)
    return wins / (found[-1] * kept), precision / found[-1]


def interval(draws: Values) -> tuple[float, float]:
    """At 95 %. Quantiles are draws themselves, not means of two, since some may be infinite."""
    low, high = np.quantile(draws, QUANTILES, method="inverted_cdf")
    return float(low), float(high)

"""Bootstraps as matrices, against resamples that are drawn out and computed one by one."""

import numpy as np
import plain
import pytest
from sklearn.metrics import average_precision_score

from thin_ice.margins.resampling import (
    interval,
    once,
    plain_counts,
    ranking_statistics,
    stratified_counts,
)


def scores_of(kind, seed):
    rng = np.random.default_rng(seed)
    lost = rng.random(80) < 0.3
    scores = rng.exponential(np.where(lost, 1, 1.5))
    if kind == "ties":
        scores = scores.round()
    if kind == "infinities":
        scores[rng.random(80) < 0.2] = np.inf
    return scores, lost


@pytest.mark.parametrize("kind", ["plain", "ties", "infinities"])
@pytest.mark.parametrize("seed", range(3))
def test_each_resample_has_scikit_learns_auroc_and_average_precision(kind, seed):
    scores, lost = scores_of(kind, seed)
    counts = stratified_counts(lost, 20, np.random.default_rng(seed))
    aurocs, precisions = ranking_statistics(scores, lost, counts)
    for drawn, auroc, precision in zip(counts.T, aurocs, precisions, strict=True):
        own, truth = np.repeat(scores, drawn), np.repeat(lost, drawn)
        assert auroc == pytest.approx(plain.auroc(own[truth], own[~truth]), abs=1e-12)
        expected = average_precision_score(truth, -own.clip(max=plain.FAR))
        assert precision == pytest.approx(expected, abs=1e-12)


def test_once_is_the_samples_themselves():
    scores, lost = scores_of("ties", 0)
    (auroc,), _ = ranking_statistics(scores, lost, once(len(lost)))
    assert auroc == pytest.approx(plain.auroc(scores[lost], scores[~lost]), abs=1e-12)


def test_a_stratified_resample_holds_the_size_of_each_set():
    _, lost = scores_of("plain", 1)
    counts = stratified_counts(lost, 50, np.random.default_rng(0))
    assert (counts[lost].sum(axis=0) == lost.sum()).all()
    assert (counts[~lost].sum(axis=0) == (~lost).sum()).all()
    assert len({column.tobytes() for column in counts.T}) == 50


def test_a_plain_resample_draws_every_sample_equally_often():
    counts = plain_counts(40, 2000, np.random.default_rng(0))
    assert (counts.sum(axis=0) == 40).all()
    assert counts.mean(axis=1) == pytest.approx(np.ones(40), abs=0.1)


def test_an_interval_of_infinite_draws_ends_at_infinity_and_at_no_nan():
    assert interval(np.r_[np.zeros(50), np.full(50, np.inf)]) == (0.0, np.inf)
    low, high = interval(np.arange(1001.0))
    assert (low, high) == (25, 975)

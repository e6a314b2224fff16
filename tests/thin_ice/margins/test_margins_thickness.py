"""Ice thickness is that of scikit-learn's isotonic fit, and a planted threshold is found."""

import numpy as np
import planted_run
import pytest
from scipy.stats import binom
from sklearn.isotonic import IsotonicRegression

from thin_ice.margins.analysis import pairs_of
from thin_ice.margins.resampling import once, plain_counts
from thin_ice.margins.thickness import (
    SHARES,
    exact_bounds,
    thickness,
    thickness_table,
    thickness_with_interval,
)
from thin_ice.margins.views import views_of


def by_isotonic_fit(distances, lost, share):
    """The largest distance of a sample at which scikit-learn's decreasing fit exceeds ``share``."""
    finite = distances.clip(max=1e6)
    fit = IsotonicRegression(increasing=False).fit(finite, lost).predict(finite)
    above = fit > share + 1e-9  # an average of flags differs from a share by more than rounding
    return distances[above].max() if above.any() else 0.0


def samples(seed, kind):
    rng = np.random.default_rng(seed)
    distances = rng.exponential(1, 60)
    if kind == "ties":
        distances = distances.round(1)
    if kind == "infinities":
        distances[rng.random(60) < 0.2] = np.inf
    return distances, rng.random(60) < np.exp(-distances * rng.uniform(0, 3))


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("kind", ["plain", "ties", "infinities"])
def test_thickness_is_that_of_scikit_learns_fit(kind, share):
    for seed in range(25):
        distances, lost = samples(seed, kind)
        (found,) = thickness(distances, lost, share, once(60))
        assert found == by_isotonic_fit(distances, lost, share), seed


@pytest.mark.parametrize("share", SHARES)
def test_each_resample_has_its_own_thickness(share):
    distances, lost = samples(3, "ties")
    counts = plain_counts(60, 30, np.random.default_rng(0))
    for drawn, found in zip(counts.T, thickness(distances, lost, share, counts), strict=True):
        own = np.repeat(distances, drawn), np.repeat(lost, drawn)
        assert found == by_isotonic_fit(*own, share)


def test_a_share_that_is_only_reached_is_not_exceeded():
    """One of two lost, one of five, one of twenty: exactly the shares, in spite of rounding."""
    for share, size in ((0.5, 2), (0.2, 5), (0.05, 20)):
        lost = np.arange(size) == size - 1  # the farthest, so that all are one block of the fit
        distances = np.arange(1.0, size + 1)
        assert thickness(distances, lost, share, once(size)) == [0]
        assert thickness(distances[1:], lost[1:], share, once(size - 1)) == [size]


@pytest.mark.parametrize("seed", range(5))
def test_a_planted_threshold_is_found(seed):
    """Below distance 1, 8 in 10 are lost, beyond it 1 in 200: all shares change there."""
    rng = np.random.default_rng(seed)
    distances = rng.uniform(0, 3, 1000)
    lost = rng.random(1000) < np.where(distances < 1, 0.8, 0.005)
    counts = plain_counts(1000, 100, rng)
    for share in (0.2, 0.5):
        row = thickness_with_interval(distances, lost, share, counts)
        assert row["thickness"] == pytest.approx(1, abs=0.03)
        assert 0.9 < row["thickness_low"] < 1 < row["thickness_high"] < 1.1


def drops(distances):
    return np.where(distances < 0.5, 0.8, 0.01)


def falls(distances):
    return np.exp(-2 * distances)


@pytest.mark.parametrize(
    ("chance", "truth"), [(drops, lambda q: 0.5), (falls, lambda q: -np.log(q) / 2)]
)
def test_the_interval_covers_a_planted_thickness(chance, truth):
    """The least of three shares, each within three deviations of 95 in 100."""
    rng, draws = np.random.default_rng(1), 80
    hits = dict.fromkeys(SHARES, 0)
    for _ in range(draws):
        distances = rng.exponential(1, 300)
        lost = rng.random(300) < chance(distances)
        counts = plain_counts(300, 50, rng)
        for share in SHARES:
            row = thickness_with_interval(distances, lost, share, counts)
            hits[share] += row["thickness_low"] <= truth(share) <= row["thickness_high"]
    assert min(hits.values()) >= binom.ppf(0.0013, draws, 0.95), hits


@pytest.mark.parametrize("share", SHARES)
def test_each_end_is_the_wider_of_the_bootstraps_and_of_the_exact_bound(share):
    """Of 40 draws, the bootstrap decides an end of some and the exact bound of others."""
    rng, decided = np.random.default_rng(2), []
    for _ in range(40):
        distances = rng.exponential(1, 100)
        lost = rng.random(100) < falls(distances)
        counts = plain_counts(100, 50, rng)
        row = thickness_with_interval(distances, lost, share, counts)
        draws = thickness(distances, lost, share, counts)
        ends = np.quantile(draws, [0.025, 0.975], method="inverted_cdf")
        exact = exact_bounds(distances, lost, share, row["thickness"])
        assert row["thickness_low"] == min(ends[0], exact[0])
        assert row["thickness_high"] == max(ends[1], exact[1])
        decided.append((ends[0] < exact[0], ends[1] > exact[1]))
    assert 0 < np.sum(decided) < 2 * len(decided), decided


def test_the_exact_bounds_by_hand():
    """At a share of one half: 6 of 6 lost have a chance of 1 / 64, 5 of 5 one of 1 / 32."""
    distances, lost = np.arange(1.0, 21), np.arange(20) < 10
    assert exact_bounds(distances, lost, 0.5, 10.0) == (5, 16)
    counts = plain_counts(20, 100, np.random.default_rng(0))  # they alone end within 7 and 10
    row = thickness_with_interval(distances, lost, 0.5, counts)
    assert row == {"thickness": 10, "thickness_low": 5, "thickness_high": 16}
    assert exact_bounds(distances[:15], lost[:15], 0.5, 10.0) == (5, 15)
    assert exact_bounds(distances[5:], lost[5:], 0.5, 10.0) == (0, 16)


def test_samples_of_equal_distance_bound_the_thickness_together():
    distances = np.repeat([1.0, 2.0, 3.0, np.inf], [4, 4, 4, 4])
    lost = distances < 2.5
    assert exact_bounds(distances, lost, 0.5, 2.0) == (1, np.inf)


def test_nobody_lost_is_no_thickness_and_everybody_lost_reaches_the_farthest():
    distances = np.array([0.5, 2.0, 1.0])
    assert thickness(distances, np.zeros(3, bool), 0.05, once(3)) == [0]
    assert thickness(distances, np.ones(3, bool), 0.5, once(3)) == [2]


def test_a_pair_has_a_row_for_every_norm_and_share():
    assert SHARES == (0.05, 0.2, 0.5)
    networks = planted_run.run(seeds=(0,), variants=("lwm-0.99",))
    views = [view for pair in pairs_of(networks) for view in views_of(pair, planted_run.setting())]
    table = thickness_table(views)
    rows = table[table.other == "lwm-0.99"]
    assert list(zip(rows.correctness, rows.norm, rows["share"], strict=True)) == [
        (correctness, norm, share)
        for correctness, norm in (("clean", "L2"), ("clean", "Linf"), ("robust", "Linf"))
        for share in SHARES
    ]
    dense, other = (n for n in networks if n.variant != "dense_again")
    right = dense.samples.robust.to_numpy()
    lost = ~other.samples.robust.to_numpy()[right]
    merged = dense.samples[["sample_id"]].merge(dense.distances, on="sample_id")
    distances = abs(merged.signed_distance_linf - planted_run.EPS).to_numpy(float)[right]
    for row in rows[rows.correctness == "robust"].itertuples():
        assert (row.samples, row.lost) == (right.sum(), lost.sum())
        assert row.thickness == pytest.approx(by_isotonic_fit(distances, lost, row.share), abs=1e-6)
        assert row.thickness_low <= row.thickness <= row.thickness_high
        counts = plain_counts(len(lost), 50, np.random.default_rng(0))
        expected = thickness_with_interval(distances, lost, row.share, counts)
        ends = expected["thickness_low"], expected["thickness_high"]
        assert (row.thickness_low, row.thickness_high) == pytest.approx(ends, abs=1e-6)
    assert (
        rows.groupby(["correctness", "norm"])
        .thickness.apply(lambda values: values.is_monotonic_decreasing)
        .all()
    )


def test_nobody_lost_among_many_bounds_the_thickness():
    """At 5 in 100, 71 samples stay without a loss 2.62 times in 100, and 72 samples 2.49 times."""
    distances, lost = np.arange(1.0, 201), np.zeros(200, bool)
    counts = plain_counts(200, 20, np.random.default_rng(0))
    row = thickness_with_interval(distances, lost, 0.05, counts)
    assert row == {"thickness": 0, "thickness_low": 0, "thickness_high": 72}


def test_a_dense_network_without_a_right_sample_has_no_thickness():
    assert thickness_with_interval(np.empty(0), np.empty(0, bool), 0.5, once(0)) == {}

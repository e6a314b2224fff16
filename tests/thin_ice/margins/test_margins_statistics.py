"""AUROC and its interval: right against scikit-learn, and honest about chance."""

import numpy as np
import plain
import pytest
from scipy.stats import norm

from thin_ice.margins.statistics import auroc, auroc_with_interval


def sets(seed, kind):
    """Two random sets of distances, the first nearer on average."""
    rng = np.random.default_rng(seed)
    near, far = rng.exponential(1, 37), rng.exponential(1.6, 61)
    if kind == "ties":
        return near.round(), far.round()
    if kind == "infinities":
        near[rng.random(37) < 0.1], far[rng.random(61) < 0.3] = np.inf, np.inf
    return near, far


KINDS = ("plain", "ties", "infinities")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(10))
def test_auroc_is_scikit_learns(seed, kind):
    near, far = sets(seed, kind)
    assert auroc(near, far) == pytest.approx(plain.auroc(near, far), abs=1e-12)


@pytest.mark.parametrize(
    ("near", "far", "value"),
    [
        ([1.0, 2.0], [3.0, np.inf], 1),
        ([3.0, np.inf], [1.0, 2.0], 0),
        ([1.0, 1.0], [1.0], 0.5),
        ([np.inf], [np.inf], 0.5),
        ([1.0, 3.0], [2.0], 0.5),
    ],
)
def test_auroc_of_a_few_numbers(near, far, value):
    assert auroc(np.array(near), np.array(far)) == value


def test_swapping_the_sets_turns_the_auroc_round():
    near, far = sets(0, "infinities")
    assert auroc(near, far) == pytest.approx(1 - auroc(far, near))


def test_auroc_sees_ranks_only():
    near, far = sets(1, "plain")
    assert auroc(near, far) == auroc(near**3, far**3)


@pytest.mark.parametrize(("near", "far"), [(0, 5), (5, 0), (0, 0)])
def test_an_empty_set_gives_nan_and_no_interval(near, far):
    rng = np.random.default_rng(0)
    result = auroc_with_interval(np.ones(near), np.ones(far), 10, rng)
    assert np.isnan([auroc(np.ones(near), np.ones(far))]).all()
    assert np.isnan([result.value, result.low, result.high]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_interval_is_the_wider_of_plain_resampling_and_newcombes(kind):
    near, far = sets(2, kind)
    result = auroc_with_interval(near, far, 100, np.random.default_rng(5))
    expected = plain.interval(near, far, 100, np.random.default_rng(5))
    assert (result.low, result.high) == pytest.approx(expected, abs=2e-6)
    assert result.value == auroc(near, far)


def test_the_seed_decides_the_interval():
    near, far = sets(3, "plain")
    one, same, other = (
        auroc_with_interval(near, far, 50, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert one == same
    assert one.value == other.value
    assert one.value == same.value


@pytest.mark.parametrize("shift", [0.0, 0.8])
def test_the_interval_covers_the_planted_auroc_about_95_times_in_100(shift):
    """Two normals a ``shift`` apart have an AUROC of Phi(shift / sqrt 2); shift 0 is chance."""
    rng = np.random.default_rng(20)
    truth, hits, draws = norm.cdf(shift / np.sqrt(2)), 0, 200
    for _ in range(draws):
        near, far = rng.normal(0, 1, 40), rng.normal(shift, 1, 60)
        result = auroc_with_interval(near, far, 200, rng)
        hits += result.low <= truth <= result.high
    assert 0.88 <= hits / draws <= 0.99


@pytest.mark.parametrize("lost", [2, 3, 5, 10])
@pytest.mark.parametrize("truth", [0.5, 0.71, 0.92])
def test_the_interval_is_honest_about_few_lost_samples(lost, truth):
    """Where a percentile bootstrap alone covers 13 to 89 times in 100."""
    rng = np.random.default_rng(lost)
    shift, hits, draws = norm.ppf(truth) * np.sqrt(2), 0, 100
    for _ in range(draws):
        near, far = rng.normal(0, 1, lost), rng.normal(shift, 1, 200)
        result = auroc_with_interval(near, far, 50, rng)
        hits += result.low <= truth <= result.high
    assert hits / draws >= 0.88


def test_an_auroc_of_one_has_an_interval_of_some_width():
    result = auroc_with_interval(np.zeros(3), np.ones(50), 50, np.random.default_rng(0))
    assert result.value == result.high == 1
    assert result.low < 0.8


def delong_deviation(near, far):
    """Standard deviation of an AUROC by DeLong, DeLong & Clarke-Pearson (1988): of the chance that
    each sample is on the right side of those of the other set.
    """
    wins = (near[:, None] < far) + 0.5 * (near[:, None] == far)
    placements = wins.mean(axis=1), wins.mean(axis=0)
    return np.sqrt(sum(one.var(ddof=1) / len(one) for one in placements))


@pytest.mark.parametrize("decimals", [9, 0])
@pytest.mark.parametrize(("shift", "lost", "kept"), [(0.0, 500, 800), (1.0, 800, 500)])
def test_of_many_samples_the_interval_is_as_wide_as_delongs(shift, lost, kept, decimals):
    """Within the noise of the quantiles of 1000 resamples; Newcombe's assumes no ties and may end
    farther off, by a little.
    """
    rng = np.random.default_rng(8)
    near, far = (rng.normal(m, 1, n).round(decimals) for m, n in ((0, lost), (shift, kept)))
    result = auroc_with_interval(near, far, 1000, rng)
    width = 2 * norm.ppf(0.975) * delong_deviation(near, far)
    assert 0.93 * width < result.high - result.low < 1.2 * width
    assert result.value == pytest.approx(norm.cdf(shift / np.sqrt(2)), abs=width)


def test_more_samples_give_a_narrower_interval():
    rng = np.random.default_rng(4)
    widths = []
    for size in (30, 480):
        result = auroc_with_interval(rng.normal(0, 1, size), rng.normal(1, 1, size), 300, rng)
        widths.append(result.high - result.low)
    assert widths[1] == pytest.approx(widths[0] / 4, rel=0.4)

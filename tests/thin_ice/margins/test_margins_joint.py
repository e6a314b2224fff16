"""What distance adds to its rivals: the test is honest, planted answers are found."""

from dataclasses import replace

import numpy as np
import planted_run
import pytest
from scipy.stats import binom, chi2
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from thin_ice.margins.analysis import Pair, pairs_of
from thin_ice.margins.joint import RIDGE, fit, joint_row, joint_table, out_of_fold, standardised
from thin_ice.margins.many_tests import ENOUGH, adjusted
from thin_ice.margins.resampling import stratified_counts
from thin_ice.margins.views import RIVALS, views_of


def draw(rng, size, coefficients):
    """Predictors, and lost flags of a logistic model with these coefficients."""
    x = rng.normal(size=(size, len(coefficients)))
    return x, rng.random(size) < 1 / (1 + np.exp(1 - x @ np.array(coefficients)))


def row(x, lost, resamples=50, seed=0):
    """The last predictor as distance, the others as rivals."""
    counts = stratified_counts(lost, resamples, np.random.default_rng(seed))
    own = standardised(list(x.T))
    return joint_row(own[:, :-1], own[:, -1:], lost, counts, seed)


@pytest.mark.parametrize("seed", range(3))
def test_the_fit_is_scikit_learns(seed):
    x, lost = draw(np.random.default_rng(seed), 200, [1.0, -0.5, 0.0])
    beta, likelihood = fit(x, lost)
    peer = LogisticRegression(C=1 / RIDGE, solver="newton-cholesky", tol=1e-10).fit(x, lost)
    assert beta == pytest.approx(np.r_[peer.intercept_, peer.coef_[0]], abs=1e-5)
    chances = peer.predict_proba(x)[np.arange(200), lost.astype(int)]
    penalty = RIDGE / 2 * (peer.coef_**2).sum()
    assert likelihood == pytest.approx(np.log(chances).sum() - penalty, abs=1e-6)


def test_planted_coefficients_are_recovered():
    x, lost = draw(np.random.default_rng(0), 20_000, [1.0, -0.5, 0.0])
    assert fit(x, lost)[0] == pytest.approx(np.array([-1, 1.0, -0.5, 0.0]), abs=0.07)


def test_under_the_null_the_likelihood_ratio_rejects_5_times_in_100():
    """500 draws in which the rival tells who is lost and distance, tied to the rival, adds none."""
    rng, draws, rejected = np.random.default_rng(1), 500, 0
    for _ in range(draws):
        x, lost = draw(rng, 200, [1.0])
        distance = x + rng.normal(size=x.shape)
        (_, without), (_, with_it) = (fit(one, lost) for one in (x, np.hstack([x, distance])))
        rejected += chi2.sf(2 * (with_it - without), 1) < 0.05
    low, high = binom.ppf([0.0005, 0.9995], draws, 0.05)
    assert low <= rejected <= high


def test_a_rows_test_is_that_of_the_two_fits():
    x, lost = draw(np.random.default_rng(4), 150, [0.5, 0.3])
    found, own = row(x, lost), (x - x.mean(axis=0)) / x.std(axis=0)
    ratio = 2 * (fit(own, lost)[1] - fit(own[:, :1], lost)[1])
    assert found["likelihood_ratio"] == pytest.approx(ratio)
    assert found["p"] == pytest.approx(chi2.sf(ratio, 1))
    assert found["distance_coefficient"] == pytest.approx(fit(own, lost)[0][-1])


def test_what_distance_knows_beyond_its_rivals_is_seen():
    x, lost = draw(np.random.default_rng(2), 600, [0.5, -2.0])
    found = row(x, lost)
    assert found["p"] < 1e-6
    assert found["distance_coefficient"] == pytest.approx(-2, abs=0.4)
    assert 0 < found["gain_low"] < found["gain"] < found["gain_high"]
    assert found["gain"] == pytest.approx(found["auroc_with"] - found["auroc_without"])


def test_a_distance_that_knows_nothing_gains_nothing():
    x, lost = draw(np.random.default_rng(3), 600, [1.5, 0.0])
    found = row(x, lost, resamples=200)
    assert found["gain_low"] <= 0 <= found["gain_high"]
    assert found["gain"] == pytest.approx(0, abs=0.01)


def test_a_distance_that_is_a_copy_of_a_rival_adds_no_likelihood():
    x, lost = draw(np.random.default_rng(5), 300, [1.0])
    found = row(np.hstack([x, x]), lost)
    assert found["likelihood_ratio"] == pytest.approx(0, abs=0.02)
    assert found["p"] > 0.85


def test_separated_samples_leave_every_number_finite():
    x = np.linspace(-1, 1, 60)[:, None]
    found = row(np.hstack([np.random.default_rng(0).normal(size=x.shape), x]), x[:, 0] < 0)
    assert all(np.isfinite(value) for value in found.values())
    assert found["auroc_with"] > 0.99
    assert found["p"] < 1e-6


def test_out_of_fold_scores_know_nothing_of_their_own_sample():
    """With 30 predictors of pure noise a model fits its samples well, and others not at all."""
    x, lost = draw(np.random.default_rng(6), 120, [0.0] * 30)
    beta, _ = fit(x, lost)
    assert roc_auc_score(lost, x @ beta[1:]) > 0.75
    assert roc_auc_score(lost, out_of_fold(x, lost, 0)) < 0.6
    assert (out_of_fold(x, lost, 1) != out_of_fold(x, lost, 0)).any()


def test_infinite_values_become_the_largest_and_the_same_for_all_is_left_out():
    values = np.array([0.0, 1.0, 3.0, np.inf, -np.inf])
    (found,) = standardised([values, np.ones(5), np.array([1, np.nan, 2, 3, 4])]).T
    expected = np.array([0.0, 1.0, 3.0, 3.0, 0.0])
    assert found == pytest.approx((expected - expected.mean()) / expected.std())
    assert standardised([np.full(50, 0.1)]).shape == (
        50,
        0,
    )  # whose deviation rounds to more than 0


def test_a_row_is_made_of_the_views_rivals_and_distance():
    networks = planted_run.run(seeds=(0,), variants=("lwm-0.99",))
    views = [view for pair in pairs_of(networks) for view in views_of(pair, planted_run.setting())]
    table = joint_table(views)
    assert list(table.method) == ["dense_again"] * 2 + ["lwm"] * 2
    few = table.lost < 10
    assert few.any()
    assert (
        table.loc[few, ["auroc_with", "likelihood_ratio", "p", "adjusted_p"]].isna().all(axis=None)
    )
    assert table.loc[~few].notna().all(axis=None)
    np.testing.assert_allclose(table.adjusted_p, adjusted(table.p))
    (view,) = (v for v in views if v.labels["method"] == "lwm" and v.correctness == "clean")
    columns = [view.scores[name, ""] for name in RIVALS]
    normalised = np.log(view.scores["normalised_distance", "Linf"])
    rivals = np.column_stack([standardised([one]) for one in [*columns, normalised]])
    both = np.hstack([rivals, standardised([view.scores["distance", "Linf"]])])
    ratio = 2 * (fit(both, view.lost)[1] - fit(rivals, view.lost)[1])
    (found,) = table[(table.method == "lwm") & (table.correctness == "clean")].itertuples()
    assert found.likelihood_ratio == pytest.approx(ratio)
    scores = out_of_fold(both, view.lost, 0)
    assert found.auroc_with == pytest.approx(roc_auc_score(view.lost, scores))


@pytest.mark.parametrize("kind", ["lost", "kept"])
@pytest.mark.parametrize(("size", "told"), [(ENOUGH - 1, False), (ENOUGH, True)])
def test_ten_lost_and_ten_kept_samples_are_enough_for_a_model(size, told, kind):
    dense, other = planted_run.run(seeds=(0,), variants=("lwm-0.99",))[::2]
    right = dense.samples.sample_id[dense.samples.correct]
    few = other.samples.sample_id.isin(right.iloc[:size])
    samples = other.samples.assign(correct=~few if kind == "lost" else few)
    views = views_of(Pair(dense, replace(other, samples=samples)), planted_run.setting())
    (row, _) = joint_table(views).itertuples()
    assert (row.lost if kind == "lost" else row.samples - row.lost) == size
    assert np.isfinite([row.auroc_with, row.p, row.gain]).all() == told


def test_a_distance_that_is_the_same_for_all_adds_nothing_and_has_no_test():
    x, lost = draw(np.random.default_rng(7), 100, [1.0])
    counts = stratified_counts(lost, 50, np.random.default_rng(0))
    found = joint_row(standardised([x[:, 0]]), standardised([np.ones(100)]), lost, counts, 0)
    assert not {"p", "likelihood_ratio", "distance_coefficient"} & set(found)
    assert [found[name] for name in ("gain", "gain_low", "gain_high")] == [0, 0, 0]
    found = joint_row(np.empty((100, 0)), standardised([x[:, 0]]), lost, counts, 0)
    assert found["likelihood_ratio"] == pytest.approx(
        2 * (fit(x, lost)[1] - fit(x[:, :0], lost)[1]), rel=0.01
    )
    assert abs(found["auroc_without"] - 0.5) < 0.1


def test_neither_the_other_seeds_distance_nor_the_breaking_eps_is_a_rival():
    run = planted_run.run(seeds=(0, 1), variants=("lwm-0.99",))
    (dense, *others) = [n for n in run if n.seed == 0]
    alone = [replace(dense, breaking=None), *others]
    tables = [
        joint_table([v for p in pairs_of(some) for v in views_of(p, planted_run.setting())])
        for some in (run, alone)
    ]
    rows = [t[(t.seed == 0) & (t.method == "lwm")].drop(columns="adjusted_p") for t in tables]
    assert rows[1].p.notna().all()
    assert rows[0].to_csv(index=False) == rows[1].to_csv(index=False)


def test_without_rivals_there_is_nothing_to_add_to():
    networks = [n for n in planted_run.run(seeds=(0,)) if n.variant in ("dense", "lwm-0.99")]
    bare = [
        type(n)(n.run, n.seed, n.variant, n.method, n.sparsity, n.samples, n.distances)
        for n in networks
    ]
    views = [view for pair in pairs_of(bare) for view in views_of(pair, planted_run.setting())]
    assert joint_table(views)[["auroc_without", "gain", "p"]].isna().all(axis=None)

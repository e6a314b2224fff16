"""Predictors of who is lost: planted answers are found, chance is called chance, and every number
is that of a plain computation.
"""

from dataclasses import replace

import numpy as np
import plain
import planted_run
import pytest
from scipy.integrate import quad
from scipy.stats import binom, mannwhitneyu, norm
from sklearn.metrics import average_precision_score

from thin_ice.margins.analysis import analyse, pairs_of
from thin_ice.margins.many_tests import ENOUGH
from thin_ice.margins.predictors import mann_whitney_p, predictor_row, predictors_table
from thin_ice.margins.resampling import stratified_counts
from thin_ice.margins.views import views_of

RESAMPLES = 100


def views(networks, setting):
    return [view for pair in pairs_of(networks) for view in views_of(pair, setting)]


def row(scores, lost, rng, reference=None):
    return predictor_row(scores, lost, reference, stratified_counts(lost, RESAMPLES, rng))


def two_normals(rng, shift, lost=30, kept=120):
    """Scores of the lost, ``shift`` standard deviations below those of the kept."""
    flags = np.arange(lost + kept) < lost
    return rng.normal(np.where(flags, -shift, 0.0), 1), flags


def covering(hits, draws):
    """Whether no fewer intervals of ``draws`` hold the truth than 93 % ones would (100 resamples
    leave a nominal 95 % a little narrow), give or take three deviations.
    """
    return hits >= binom.ppf(0.0013, draws, 0.93)


def planted_precision(shift, share):
    """Average precision of `two_normals` with very many samples: precision over recall."""

    def precision(recall):
        threshold = norm.ppf(recall) - shift
        return share * recall / (share * recall + (1 - share) * norm.cdf(threshold))

    return quad(precision, 0, 1)[0]


@pytest.mark.parametrize("shift", [0.0, 1.0, 2.0])
def test_intervals_cover_the_planted_auroc_and_average_precision(shift):
    rng, draws = np.random.default_rng(3), 150
    truths = {"auroc": norm.cdf(shift / np.sqrt(2))}
    truths["average_precision"] = planted_precision(shift, 0.2)
    hits = dict.fromkeys(truths, 0)
    for _ in range(draws):
        found = row(*two_normals(rng, shift), rng)
        for name, truth in truths.items():
            hits[name] += found[f"{name}_low"] <= truth <= found[f"{name}_high"]
    assert covering(hits["auroc"], draws), hits
    assert covering(hits["average_precision"], draws), hits


def test_average_precision_comes_close_to_the_planted_one():
    rng = np.random.default_rng(0)
    found = row(*two_normals(rng, 1.5, 2000, 8000), rng)
    assert found["average_precision"] == pytest.approx(planted_precision(1.5, 0.2), abs=0.02)


def test_few_lost_samples_leave_the_interval_of_average_precision_wide():
    rng, draws, hits = np.random.default_rng(1), 150, 0
    truth = planted_precision(1.5, 5 / 200)
    for _ in range(draws):
        found = row(*two_normals(rng, 1.5, 5, 195), rng)
        hits += found["average_precision_low"] <= truth <= found["average_precision_high"]
    assert hits >= 0.9 * draws


def test_under_the_null_the_test_and_the_interval_reject_5_times_in_100():
    """500 draws of labels that have nothing to do with the scores, within 3.3 deviations."""
    rng, draws = np.random.default_rng(6), 500
    low, high = binom.ppf([0.0005, 0.9995], draws, 0.05)
    rejected = dict.fromkeys(("test", "interval"), 0)
    for _ in range(draws):
        scores = rng.exponential(size=60)
        found = row(scores, rng.permutation(np.arange(60) < 20), rng)
        rejected["test"] += found["mann_whitney_p"] < 0.05
        rejected["interval"] += not found["auroc_low"] <= 0.5 <= found["auroc_high"]
    assert low <= rejected["test"] <= high, rejected
    assert low <= rejected["interval"] <= high, rejected


def test_under_the_null_the_test_of_tied_scores_of_few_lost_samples_rejects_5_times_in_100():
    """As few as are corrected for number, on the six steps of a count."""
    rng, draws, rejected = np.random.default_rng(0), 500, 0
    for _ in range(draws):
        scores = rng.integers(6, size=80).astype(float)
        rejected += mann_whitney_p(scores, rng.permutation(np.arange(80) < ENOUGH)) < 0.05
    low, high = binom.ppf([0.0005, 0.9995], draws, 0.05)
    assert low <= rejected <= high


def test_scores_that_are_all_the_same_tell_nothing():
    lost = np.arange(30) < 10
    found = row(np.ones(30), lost, np.random.default_rng(0))
    assert (found["auroc"], found["rank_biserial"], found["mann_whitney_p"]) == (0.5, 0, 1)
    assert found["average_precision"] == pytest.approx(1 / 3)


def test_a_planted_shift_is_rejected_nearly_always():
    rng = np.random.default_rng(2)
    p = [row(*two_normals(rng, 1.0), rng)["mann_whitney_p"] for _ in range(50)]
    assert (np.array(p) < 0.05).mean() > 0.95


def test_two_copies_of_a_predictor_gain_nothing():
    rng = np.random.default_rng(0)
    scores, lost = two_normals(rng, 1.0)
    found = row(scores, lost, rng, reference=scores.copy())
    assert [found[f"auroc_gain{end}"] for end in ("", "_low", "_high")] == [0, 0, 0]


@pytest.mark.parametrize("better", [0.0, 1.0])
def test_the_interval_of_the_gain_covers_the_planted_one(better):
    """Two noisy looks at the same quantity, the reference's noise smaller by a planted amount."""
    rng, draws, hits = np.random.default_rng(4), 150, 0
    noise = 1.5 - better
    truth = norm.cdf(1 / np.sqrt(2 + 2 * noise**2)) - norm.cdf(1 / np.sqrt(2 + 2 * 1.5**2))
    for _ in range(draws):
        scores, lost = two_normals(rng, 1.0)
        one, other = (scores + rng.normal(0, sd, len(scores)) for sd in (1.5, noise))
        found = row(one, lost, rng, reference=other)
        hits += found["auroc_gain_low"] <= truth <= found["auroc_gain_high"]
    assert covering(hits, draws), hits


def test_pairing_makes_the_gain_of_alike_predictors_certain():
    rng = np.random.default_rng(5)
    scores, lost = two_normals(rng, 1.0)
    found = row(scores, lost, rng, reference=scores + rng.normal(0, 0.01, len(scores)))
    width = found["auroc_gain_high"] - found["auroc_gain_low"]
    assert width < (found["auroc_high"] - found["auroc_low"]) / 10


@pytest.fixture(scope="module")
def run():
    return planted_run.run()


@pytest.fixture(scope="module")
def table(run):
    return predictors_table(views(run, planted_run.setting()))


def names(table, **wanted):
    for column, value in wanted.items():
        table = table[table[column] == value]
    return [f"{row.predictor} {row.norm}".strip() for row in table.itertuples()]


def test_a_pair_has_a_row_for_every_predictor_and_norm(table):
    rivals = ["logit_margin", "confidence_variance", "gradient_norm"]
    rivals += ["steps_to_flip", "adversarial_loss"]
    pair = {"seed": 1, "other": "lwm-0.99"}
    assert names(table, correctness="clean", **pair) == [
        *("distance L2", "distance Linf", "other_seed_distance L2", "other_seed_distance Linf"),
        *("certified_radius Linf", "smoothed_radius"),
        *rivals,
        *("normalised_distance L2", "normalised_distance Linf"),
    ]
    assert names(table, correctness="robust", **pair) == [
        *("distance Linf", "other_seed_distance Linf", "breaking_distance Linf"),
        *("certified_radius Linf", "smoothed_radius"),
        *rivals,
        "normalised_distance Linf",
    ]


def test_a_second_seed_is_not_told_by_its_own_distances_nor_by_a_change_of_parameters(table):
    found = names(table, other="dense, seed 0", correctness="robust")
    assert found[0:2] == ["distance Linf", "breaking_distance Linf"]
    assert not [name for name in found if name.startswith(("other_seed", "normalised"))]


def score(network_tables, predictor, norm, correctness, sample):
    """One sample's value, from the tables by their sample ids; low ones expect a loss."""
    dense, other, following = network_tables
    edge = 0 if correctness == "clean" else planted_run.EPS

    def cell(table, column):
        return float(table.loc[table.sample_id == sample, column].item())

    distance = abs(cell(dense.distances, "signed_distance_" + (norm or "Linf").lower()) - edge)
    if predictor == "distance":
        return distance
    if predictor == "other_seed_distance":
        return abs(cell(following.distances, f"signed_distance_{norm.lower()}") - edge)
    if predictor == "normalised_distance":
        return distance / abs(cell(other.sensitivity, "predicted_change"))
    if predictor == "breaking_distance":
        ends = cell(dense.breaking, "standing_eps"), cell(dense.breaking, "breaking_eps")
        return abs(sum(ends) / 2 - edge)
    if predictor in ("certified_radius", "smoothed_radius"):
        return cell(dense.certified, predictor)
    upwards = predictor in ("confidence_variance", "gradient_norm", "adversarial_loss")
    return (-1 if upwards else 1) * cell(dense.rivals, predictor)


def by_sample(network, column):
    return dict(zip(network.samples.sample_id, network.samples[column], strict=True))


@pytest.mark.parametrize("correctness", ["clean", "robust"])
def test_every_number_is_that_of_a_plain_computation(run, table, correctness):
    dense, following = (n for n in run if n.variant == "dense")
    other = next(n for n in run if n.variant == "lwm-0.9" and n.seed == 0)
    column = "correct" if correctness == "clean" else "robust"
    before, after = by_sample(dense, column), by_sample(other, column)
    right = [sample for sample in dense.samples.sample_id if before[sample]]
    lost = np.array([not after[sample] for sample in right])
    rows = table[(table.seed == 0) & (table.other == "lwm-0.9")]
    rows = rows[rows.correctness == correctness]
    assert len(rows) >= 11
    values = {
        (r.predictor, r.norm): np.array(
            [score((dense, other, following), r.predictor, r.norm, correctness, s) for s in right]
        )
        for r in rows.itertuples()
    }
    best = values["distance", "Linf"]
    for r in rows.itertuples():
        own = values[r.predictor, r.norm]
        auroc = plain.auroc(own[lost], own[~lost])
        assert (r.kept_samples, r.lost_samples) == ((~lost).sum(), lost.sum())
        assert r.lost_share == pytest.approx(lost.mean())
        assert r.auroc == pytest.approx(auroc, abs=1e-6)
        assert r.rank_biserial == pytest.approx(2 * auroc - 1, abs=2e-6)
        precision = average_precision_score(lost, -own.clip(max=plain.FAR))
        assert r.average_precision == pytest.approx(precision, abs=1e-6)
        p = mannwhitneyu(own[lost], own[~lost], method="asymptotic").pvalue
        assert r.mann_whitney_p == pytest.approx(p, rel=1e-3)
        gain = plain.auroc(best[lost], best[~lost]) - auroc
        assert r.auroc_gain == pytest.approx(gain, abs=1e-6)
        assert r.auroc_low <= r.auroc <= r.auroc_high
        assert r.average_precision_low <= r.average_precision <= r.average_precision_high
        assert r.auroc_gain_low <= r.auroc_gain <= r.auroc_gain_high


def test_distance_has_the_auroc_and_the_interval_of_the_thin_ice_table(run, table):
    _, rows = analyse(pairs_of(run), ["L2", "Linf"], "Linf", planted_run.EPS, 50, 0)
    keys = ["seed", "other", "correctness", "norm"]
    both = table[table.predictor == "distance"].merge(rows, on=keys)
    assert len(both) == len(rows)
    for end in ("", "_low", "_high"):
        np.testing.assert_array_equal(both[f"auroc{end}"], both[f"auroc_lost{end}"])


def test_p_values_are_adjusted_over_the_rows_with_enough_samples(table):
    enough = table[["kept_samples", "lost_samples"]].min(axis=1) >= 10
    assert 0 < enough.sum() < len(table)
    assert table.mann_whitney_adjusted_p.notna().equals(enough & table.mann_whitney_p.notna())
    assert (table.mann_whitney_adjusted_p >= table.mann_whitney_p)[enough].all()


def test_what_some_samples_lack_is_told_of_the_others():
    (dense, *others) = planted_run.run(seeds=(0,))
    rivals = dense.rivals.copy()
    rivals.loc[rivals.index[:40], "gradient_norm"] = np.nan
    lacking = set(rivals.sample_id[rivals.gradient_norm.isna()])
    table = predictors_table(views([replace(dense, rivals=rivals), *others], planted_run.setting()))
    table = table[(table.other == "lwm-0.99") & (table.correctness == "clean")]
    rows = table.set_index("predictor")
    own, all_rows = rows.loc["gradient_norm"], rows.loc["logit_margin"]
    other = next(n for n in others if n.variant == "lwm-0.99")
    right = set(dense.samples.sample_id[dense.samples.correct])
    lost = right & set(other.samples.sample_id[~other.samples.correct])
    assert own.kept_samples == len(right - lost - lacking) < all_rows.kept_samples
    assert own.lost_samples == len(lost - lacking) < all_rows.lost_samples
    values = dict(zip(rivals.sample_id, -rivals.gradient_norm, strict=True))
    near, far = (np.array([values[i] for i in one - lacking]) for one in (lost, right - lost))
    assert own.auroc == pytest.approx(plain.auroc(near, far))
    # Its resamples are of its own samples, lost and kept apart, from the seed.
    flags = np.array([i in lost for i in dense.samples.sample_id if i in right - lacking])
    scores = np.array([values[i] for i in dense.samples.sample_id if i in right - lacking])
    counts = stratified_counts(flags, 50, np.random.default_rng(0))
    expected = predictor_row(scores, flags, None, counts)
    for name in ("auroc_low", "auroc_high", "average_precision_low", "average_precision_high"):
        assert own[name] == expected[name]
    assert own[["auroc_gain", "mann_whitney_p"]].notna().all()


def test_a_radius_by_which_nothing_is_proved_is_closest_to_a_loss_at_eps_too():
    """Of two samples that are robust at eps the one with the smaller radius is expected to be lost,
    though its radius may be farther from eps.
    """
    (dense, *others) = planted_run.run(seeds=(0,))
    (view,) = (
        v for v in views([dense, others[-1]], planted_run.setting()) if v.correctness == "robust"
    )
    scores = view.scores["certified_radius", "Linf"]
    radii = dense.certified.set_index("sample_id").certified_radius
    np.testing.assert_array_equal(scores, radii.reindex(view.right.sample_id))
    assert (scores == 0).any()
    assert (scores > planted_run.EPS).any()


def test_the_radius_of_the_network_alone_is_a_distance_in_the_threat_models_norm():
    networks = planted_run.run(seeds=(0,))
    dense = replace(networks[0], certified=networks[0].certified.drop(columns="smoothed_radius"))
    table = predictors_table(views([dense, *networks[1:]], planted_run.setting(norms=("L2",))))
    assert set(table.norm[table.predictor == "certified_radius"]) == {"Linf"}
    assert "smoothed_radius" not in set(table.predictor)
    bare = replace(dense, certified=dense.certified.drop(columns="certified_radius"))
    table = predictors_table(views([bare, *networks[1:]], planted_run.setting()))
    assert "certified_radius" not in set(table.predictor)


def test_what_was_proved_of_the_other_network_tells_nothing():
    """It would know what became of the sample."""
    dense, *others = planted_run.run(seeds=(0,))
    given = [replace(one, certified=dense.certified) for one in others]
    bare = replace(dense, certified=None)
    table = predictors_table(views([bare, *given], planted_run.setting()))
    assert not table.predictor.isin(["certified_radius", "smoothed_radius"]).any()


def test_everything_lost_leaves_numbers_out_and_no_row():
    (dense, *_) = planted_run.run(seeds=(0,))
    none = dense.samples.assign(correct=False, robust=False)
    other = replace(dense, variant="lwm-0.5", method="lwm", samples=none)
    other = replace(other, rivals=None, breaking=None, certified=None)
    table = predictors_table(views([dense, other], planted_run.setting()))
    assert (table.kept_samples == 0).all()
    assert (table.lost_share == 1).all()
    assert table[["auroc", "average_precision", "mann_whitney_p"]].isna().all(axis=None)


def test_nothing_lost_leaves_numbers_out_and_no_row():
    (dense, *_) = planted_run.run(seeds=(0,))
    same = replace(
        dense, variant="lwm-0.5", method="lwm", rivals=None, breaking=None, certified=None
    )
    table = predictors_table(views([dense, same], planted_run.setting()))
    assert (table.lost_samples == 0).all()
    assert (
        table[["auroc", "average_precision", "mann_whitney_p", "auroc_gain"]].isna().all(axis=None)
    )
    assert (table.lost_share == 0).all()

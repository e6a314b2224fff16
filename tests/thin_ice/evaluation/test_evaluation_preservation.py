"""What pruning preserves: ratios of the same samples' outcomes, with intervals that cover them."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, t

from thin_ice.evaluation.preservation import (
    COLUMNS,
    PUBLISHED,
    Measured,
    averages,
    kept_interval,
    paired_ratio_interval,
    preservation_table,
)
from thin_ice.evaluation.same_samples import DifferentSamples

N = 40
PROTOCOL = "hydra_pgd10"
OBJECTIVES = {"trained_with": "ibp", "goal": "verified", "tuned_with": "ibp"}
MEASURES = ("benign", "empirical", "autoattack", "verified", "smoothed")


def named(variant, seed=0, run="d-m-ibp", tuned_goal="verified", **others):
    method, _, sparsity = variant.partition("-")
    names = {"run": run, "seed": seed, "variant": variant, "method": method, "kind": method}
    names |= {"unit": "weight" if sparsity else "none", "sparsity": float(sparsity or 0)}
    names |= {"pipeline": "after" if sparsity else "none"}
    return names | OBJECTIVES | {"tuned_goal": tuned_goal} | others


def network(variant, seed=0, protocols=(PROTOCOL,), random=0, smoothed=True, **others):
    """Outcomes drawn anew, each measure's its own; the tables' rows in orders of their own."""
    rng = np.random.default_rng([random, seed, len(variant)])
    ids = np.arange(N) * 3
    samples = pd.DataFrame({"sample_id": ids, "correct": rng.random(N) < 0.8})
    samples["robust"] = rng.random(N) < 0.5
    for name in protocols:
        samples[f"claimed_{name}"] = rng.random(N) < 0.6
    certified = pd.DataFrame({"sample_id": ids, "verified": rng.random(N) < 0.3})
    if smoothed:
        certified["smoothed_radius"] = rng.choice([-0.2, 0.0, 0.4], N)
    names = named(variant, seed, **others)
    shuffled = (one.sample(frac=1, random_state=len(variant)) for one in (samples, certified))
    return Measured(names, "none", tuple(protocols), *shuffled)


def outcome(one, measure, sample):
    """Whether a network has a sample right, by one of the measures."""
    row = one.samples[one.samples.sample_id == sample].iloc[0]
    if measure in ("verified", "smoothed"):
        row = one.certified[one.certified.sample_id == sample].iloc[0]
        return bool(row.verified) if measure == "verified" else row.smoothed_radius > 0
    columns = {"benign": "correct", "autoattack": "robust", "empirical": f"claimed_{PROTOCOL}"}
    return bool(row[columns[measure]])


NETWORKS = [
    network("dense", protocols=("other", PROTOCOL)),
    network("dense", seed=1, protocols=("other", PROTOCOL)),
    network("hydra-0.9"),
    network("hydra-0.99", seed=1),
    network("dense_again", protocols=()),
]
TABLE = preservation_table(NETWORKS, resamples=200, seed=3)


def test_each_network_made_from_a_dense_one_has_a_row_for_every_measure_that_it_has():
    rows = TABLE.groupby(["variant", "seed"], sort=False).measure.agg(list).to_dict()
    assert rows == {
        ("hydra-0.9", 0): list(MEASURES),
        ("hydra-0.99", 1): list(MEASURES),
        ("dense_again", 0): [one for one in MEASURES if one != "empirical"],
    }
    protocols = TABLE.groupby("measure").protocol.unique().map(list).to_dict()
    assert protocols == {m: [PROTOCOL if m == "empirical" else "none"] for m in MEASURES}


def test_every_number_counts_the_samples_of_its_own_dense_network():
    for row in TABLE.itertuples():
        made = next(n for n in NETWORKS if n.identity == (row.run, row.seed, row.variant))
        dense = next(n for n in NETWORKS if n.identity == (row.run, row.seed, "dense"))
        before, after = (
            [outcome(one, row.measure, sample) for sample in range(0, 3 * N, 3)]
            for one in (dense, made)
        )
        assert row.samples == N
        assert row.dense_percent == pytest.approx(100 * sum(before) / N)
        assert row.pruned_percent == pytest.approx(100 * sum(after) / N)
        assert row.kept_percent == pytest.approx(100 * sum(after) / sum(before))
        assert row.points == pytest.approx(100 * (sum(before) - sum(after)) / N)
        assert row.kept_low < row.kept_percent < row.kept_high
        assert row.points_low < row.points < row.points_high


def test_intervals_are_of_pairs_of_outcomes_on_the_same_samples():
    """A network that is right on the very same samples: what is kept is as certain as can be."""
    dense = NETWORKS[0]
    tables = (dense.samples, dense.certified)
    samples, certified = (one.sample(frac=1, random_state=9) for one in tables)
    same = Measured(named("hydra-0.9"), "none", (PROTOCOL,), samples, certified)
    for row in preservation_table([dense, same], 200, 3).itertuples():
        before = np.repeat([True, False], [round(row.dense_percent * N / 100), N])[:N]
        kept = row.kept_percent, row.kept_low, row.kept_high
        assert kept == pytest.approx(kept_interval(before, before, 200, 3))


def test_a_row_depends_on_no_other_network():
    fewer = preservation_table([NETWORKS[1], NETWORKS[3]], resamples=200, seed=3)
    whole = TABLE[TABLE.seed == 1].reset_index(drop=True)
    pd.testing.assert_frame_equal(fewer, whole)


def test_what_was_not_certified_has_no_row():
    bare = [Measured(n.names, n.collapse, n.protocols, n.samples) for n in NETWORKS]
    found = preservation_table(bare, resamples=20, seed=3)
    assert set(found.measure) == {"benign", "empirical", "autoattack"}
    unsmoothed = [network("dense", smoothed=False), network("hydra-0.9", smoothed=False)]
    assert set(preservation_table(unsmoothed, 20, 3).measure) == set(MEASURES) - {"smoothed"}


def test_a_dense_network_alone_has_a_table_with_columns_and_no_row():
    table = preservation_table(NETWORKS[:1], resamples=20, seed=0)
    assert (len(table), table.columns.tolist()) == (0, list(COLUMNS))
    assert averages(table).empty
    assert "published_percent" in averages(table)


def test_the_signs_of_a_collapse_are_those_of_both_networks():
    dense, made = NETWORKS[0], NETWORKS[2]
    pair = [
        Measured(one.names, signs, one.protocols, one.samples)
        for one, signs in ((dense, "none"), (made, "at_chance;empty_layer"))
    ]
    table = preservation_table(pair, 20, 0)
    assert set(table.collapse) == {"at_chance;empty_layer"}
    assert set(table.dense_collapse) == {"none"}


@pytest.mark.parametrize("which", ["samples", "certified"])
def test_tables_of_other_samples_are_refused(which):
    dense, made = NETWORKS[0], NETWORKS[2]
    tables = {"samples": made.samples, "certified": made.certified}
    tables[which] = tables[which].iloc[1:]
    short = Measured(made.names, "none", made.protocols, **tables)
    with pytest.raises(DifferentSamples, match=f"of {N}.* and of {N - 1}|of {N - 1} and of {N}"):
        preservation_table([dense, short], 20, 0)


def flags(kept, lost, gained, neither):
    """Outcomes before and after."""
    counts = (kept, lost, gained, neither)
    return (np.repeat(values, counts) for values in ([True, True, False, False], [1, 0, 1, 0]))


def interval(*counts, resamples=200, seed=0):
    before, after = flags(*counts)
    return kept_interval(before, after.astype(bool), resamples, seed)


def test_of_nothing_nothing_can_be_kept():
    assert all(math.isnan(value) for value in interval(0, 0, 5, 20))


def test_an_interval_has_width_where_nothing_changed_and_where_nothing_is_left():
    value, low, high = interval(300, 0, 0, 0)
    assert (value, 98 < low < 99.9, 100.1 < high < 102) == (100, True, True)
    value, low, high = interval(0, 100, 0, 200)
    assert (value, low, 1 < high < 10) == (0, 0, True)


def test_few_right_before_leave_a_wide_interval():
    value, low, high = interval(3, 1, 1, 295)
    assert (value, low < 45, high > 200) == (100, True, True)


def test_the_interval_is_the_wider_of_a_bootstrap_and_of_bonett_and_price_at_each_end():
    before, after = (one.astype(bool) for one in flags(60, 30, 4, 106))
    rng, ratios = np.random.default_rng(5), []
    for _ in range(4000):
        drawn = rng.integers(200, size=200)
        ratios.append(100 * after[drawn].sum() / before[drawn].sum())
    low, high = np.quantile(ratios, [0.025, 0.975])
    least, most = (100 * end for end in paired_ratio_interval(60, 30, 4))
    _, *ends = kept_interval(before, after, 4000, seed=1)
    assert ends == pytest.approx([min(low, least), max(high, most)], abs=1.0)
    assert ends[0] <= least
    assert ends[1] >= most


def test_the_bootstrap_counts_where_it_is_the_wider():
    """Half of many are kept: there it reaches farther than the hybrid interval, by its seed."""
    wider = np.zeros(2, int)
    for seed in range(20):
        _, low, high = interval(50, 50, 2, 100, resamples=50, seed=seed)
        least, most = (100 * end for end in paired_ratio_interval(50, 50, 2))
        assert low <= least
        assert high >= most
        wider += [low < least, high > most]
    assert (wider >= 2).all(), wider


@pytest.mark.parametrize("counts", [(20, 5, 2), (300, 0, 0), (1, 9, 0), (5, 5, 5), (90, 1, 40)])
def test_the_ratio_the_other_way_round_has_the_reciprocal_interval(counts):
    kept, lost, gained = counts
    low, high = paired_ratio_interval(kept, lost, gained)
    least, most = paired_ratio_interval(kept, gained, lost)
    assert (low, high) == pytest.approx((1 / most, 1 / least))
    assert low < (kept + gained) / (kept + lost) < high


@pytest.mark.parametrize("counts", [(6000, 3000, 500), (40000, 400, 300), (3000, 9000, 100)])
def test_with_many_samples_the_interval_is_that_of_the_logarithm(counts):
    """The delta method's variance of the logarithm of a paired ratio."""
    kept, lost, gained = counts
    after, before = kept + gained, kept + lost
    half = 1.959964 * math.sqrt((lost + gained) / (after * before))
    found = [math.log(end * before / after) for end in paired_ratio_interval(*counts)]
    assert found == pytest.approx([-half, half], rel=0.02)


def test_the_seed_gives_the_same_interval_again_and_another_another():
    """Where the bootstrap is the wider, which it is not for every seed."""
    found = [interval(50, 50, 2, 100, resamples=30, seed=n) for n in range(10)]
    again = [interval(50, 50, 2, 100, resamples=30, seed=n) for n in range(10)]
    assert found == again
    assert len({value for value, *_ in found}) == 1
    assert len({tuple(ends) for _, *ends in found}) > 3


CELLS = [  # samples, share right before, of these kept, of the others gained
    (60, 0.95, 1.0, 0.0),
    (60, 0.95, 0.99, 0.0),
    (60, 0.5, 0.9, 0.02),
    (60, 0.1, 0.9, 0.02),
    (60, 0.03, 0.5, 0.02),
    (300, 0.95, 0.9, 0.02),
    (300, 0.5, 0.99, 0.0),
    (300, 0.1, 0.05, 0.01),
    (1000, 0.5, 0.5, 0.02),
    (1000, 0.03, 0.99, 0.0),
]


@pytest.mark.parametrize(("size", "right", "kept", "gained"), CELLS)
def test_the_interval_covers_the_planted_ratio(size, right, kept, gained):
    """95 % at least, give or take three deviations of so many simulations."""
    rng, draws, hits = np.random.default_rng(0), 300, 0
    shares = np.array([right * kept, right * (1 - kept), (1 - right) * gained])
    truth = 100 * (shares[0] + shares[2]) / right
    told = 0
    for _ in range(draws):
        counts = rng.multinomial(size, [*shares, 1 - shares.sum()])
        _, low, high = interval(*counts, resamples=100)
        told += not math.isnan(low)
        hits += low - 1e-9 <= truth <= high + 1e-9
    assert told > 0.8 * draws
    assert hits >= binom.ppf(0.0013, told, 0.95)


def row(ratio, measure="verified", **others):
    """A row of the table, of which only what is averaged matters."""
    names = named(**({"variant": "hydra-0.9"} | others))
    dense, pruned = 50.0, 50.0 * ratio / 100
    values = {"measure": measure, "dense_percent": dense, "pruned_percent": pruned}
    return names | values | {"kept_percent": ratio, "collapse": "none", "dense_collapse": "none"}


def averaged(rows, **wanted):
    table = averages(pd.DataFrame(rows))
    for column, value in wanted.items():
        table = table[table[column] == value]
    assert len(table) <= 1
    return None if table.empty else table.iloc[0]


def test_an_average_is_the_mean_of_the_networks_ratios_with_students_interval():
    values = [80.0, 95.0, 88.0, 70.0]
    rows = [row(v, seed=n, run=f"d-m{n // 2}-ibp") for n, v in enumerate(values)]
    found = averaged(rows, over="all")
    mean, deviation = np.mean(values), np.std(values, ddof=1)
    low, high = t.interval(0.95, 3, mean, deviation / 2)
    assert (found.networks, found.collapsed, found.without_ratio) == (4, 0, 0)
    kept = [found.kept_percent, found.kept_low, found.kept_high]
    assert kept == pytest.approx([mean, low, high])
    assert (found.lowest, found.highest) == (70, 95)
    assert (found.dense_percent, found.pruned_percent) == pytest.approx((50, mean / 2))


def test_of_fewer_than_three_networks_no_interval_is_told():
    two = averaged([row(80.0), row(90.0, seed=1)], over="all")
    assert (two.kept_percent, math.isnan(two.kept_low), math.isnan(two.kept_high)) == (85, 1, 1)
    three = averaged([row(80.0), row(90.0, seed=1), row(90.0, seed=2)], over="all")
    assert three.kept_low < three.kept_percent < three.kept_high


def test_a_network_without_a_ratio_is_told_and_not_averaged():
    found = averaged([row(80.0), row(math.nan, seed=1) | {"dense_percent": 0.0}], over="all")
    assert (found.networks, found.without_ratio, found.kept_percent) == (2, 1, 80)
    assert found.dense_percent == 25
    none = averaged([row(math.nan)], over="all")
    assert none[["kept_percent", "lowest", "highest"]].isna().all()


def test_collapsed_networks_count_and_are_counted():
    rows = [
        row(80.0),
        row(0.0, seed=1) | {"collapse": "constant_prediction"},
        row(20.0, seed=2) | {"dense_collapse": "at_chance"},
        row(100.0, seed=3) | {"collapse": "empty_layer"},
    ]
    found = averaged(rows, over="all")
    assert (found.networks, found.collapsed, found.kept_percent) == (4, 2, 50)


GOALS = ("benign", "empirical", "verified", "smoothed")


@pytest.mark.parametrize("measure", MEASURES)
def test_its_own_networks_were_trained_and_fine_tuned_after_the_measure(measure):
    rows = [
        row(10.0 * n + m, measure, seed=10 * n + m, goal=goal, tuned_goal=tuned)
        for n, goal in enumerate(GOALS)
        for m, tuned in enumerate(GOALS)
    ]
    found = averaged(rows, over="own", measure=measure)
    wanted = {
        "benign": [0.0, 11.0, 22.0, 33.0],
        "empirical": [11.0],
        "autoattack": [11.0],
        "verified": [22.0],
        "smoothed": [33.0],
    }[measure]
    assert (found.networks, found.lowest, found.highest) == (len(wanted), wanted[0], wanted[-1])
    assert averaged(rows, over="all", measure=measure).networks == 16


def test_a_measure_that_nobody_was_after_has_no_row_of_its_own():
    rows = [row(80.0, goal="empirical", tuned_goal="empirical")]
    assert averaged(rows, over="own") is None
    assert averaged(rows, over="all") is not None


def test_methods_sparsities_and_measures_are_averaged_apart():
    rows = [
        row(ratio, measure, variant=variant, kind=kind)
        for ratio, measure, variant, kind in (
            (80.0, "verified", "hydra-0.9", "hydra"),
            (70.0, "verified", "hydra-0.99", "hydra"),
            (60.0, "benign", "hydra-0.9", "hydra"),
            (50.0, "verified", "hydra_short-0.9", "hydra"),
            (40.0, "verified", "dense_again", "dense_again"),
        )
    ]
    table = averages(pd.DataFrame(rows)).query("over == 'all'")
    assert table.kept_percent.tolist() == [80, 70, 60, 50, 40]
    assert table.method.tolist() == ["hydra"] * 3 + ["hydra_short", "dense_again"]
    assert table.networks.tolist() == [1] * 5


def test_the_published_averages_stand_beside_ten_times_fewer_weights_alone():
    rows = [
        row(80.0, measure, variant=variant)
        for measure in MEASURES
        for variant in ("hydra-0.9", "hydra-0.99", "hydra-0.5")
    ]
    table = averages(pd.DataFrame(rows)).query("over == 'all'")
    told = table[table.published_percent.notna()]
    assert set(told.sparsity) == {0.9}
    assert dict(zip(told.measure, told.published_percent, strict=True)) == PUBLISHED
    assert PUBLISHED == {"benign": 93.0, "empirical": 92.5, "verified": 85.0}

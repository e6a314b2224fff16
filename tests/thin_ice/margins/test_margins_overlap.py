"""Overlap of lost sets: by hand, and by chance against simulation."""

import numpy as np
import planted_run
import pytest
from scipy.stats import binomtest

from thin_ice.margins.analysis import pairs_of
from thin_ice.margins.overlap import jaccard_by_chance, overlap, overlap_table
from thin_ice.margins.views import views_of


def flags(places, size=20):
    return np.isin(np.arange(size), list(places))


def test_the_numbers_of_two_lost_sets_by_hand():
    row = overlap(flags({0, 1, 2, 3}), flags({2, 3, 4, 5, 6, 7}))
    assert [row[n] for n in ("lost_a", "lost_b", "both", "either")] == [4, 6, 2, 8]
    assert row["jaccard"] == 0.25
    ends = binomtest(2, 4).proportion_ci(0.95, "wilson")
    found = [row[f"inside_{end}"] for end in ("percent", "low", "high")]
    assert found == pytest.approx([50, *(100 * end for end in ends)])
    assert row["inside_by_chance_percent"] == 30


def test_sets_that_nobody_lost_have_no_overlap():
    row = overlap(flags(set()), flags(set()))
    assert np.isnan([row["jaccard"], row["jaccard_by_chance"], row["inside_percent"]]).all()
    one = overlap(flags({1}), flags(set()))
    assert (one["jaccard"], one["jaccard_by_chance"], one["inside_percent"]) == (0, 0, 0)
    assert np.isnan(overlap(flags(set(), 0), flags(set(), 0))["inside_by_chance_percent"])


@pytest.mark.parametrize(("first", "second", "size"), [(4, 6, 20), (15, 18, 20), (1, 1, 3)])
def test_the_overlap_by_chance_is_that_of_random_sets(first, second, size):
    rng, found = np.random.default_rng(0), []
    for _ in range(4000):
        a, b = (set(rng.choice(size, n, replace=False)) for n in (first, second))
        found.append(len(a & b) / len(a | b))
    error = np.std(found) / np.sqrt(len(found))
    assert jaccard_by_chance(first, second, size) == pytest.approx(np.mean(found), abs=4 * error)


@pytest.fixture(scope="module")
def run():
    return planted_run.run(variants=("lwm-0.99", "lwm-0.9", "hydra-0.9"))


@pytest.fixture(scope="module")
def table(run):
    pairs = pairs_of(run)
    return overlap_table([v for pair in pairs for v in views_of(pair, planted_run.setting())])


def test_every_two_networks_of_a_dense_one_meet_once_the_sparser_second(table):
    rows = table[(table.seed == 1) & (table.correctness == "clean")]
    named = [(r.method_a, r.sparsity_a, r.method_b, r.sparsity_b) for r in rows.itertuples()]
    order = [("dense_again", 0), ("lwm", 0.9), ("lwm", 0.99), ("hydra", 0.9), ("second_seed", 0)]
    expected = [(*a, *b) for n, a in enumerate(order) for b in order[n + 1 :]]
    assert named == expected
    assert len(table) == 2 * 2 * len(expected)


@pytest.mark.parametrize("correctness", ["clean", "robust"])
def test_rows_count_the_samples_that_both_lost(run, table, correctness):
    column = "correct" if correctness == "clean" else "robust"
    dense, low, high = (
        next(n for n in run if n.variant == variant and n.seed == 0).samples.set_index("sample_id")
        for variant in ("dense", "lwm-0.9", "lwm-0.99")
    )
    right = {i for i in dense.index if dense[column][i]}
    a, b = ({i for i in right if not other[column][i]} for other in (low, high))
    rows = table[(table.seed == 0) & (table.correctness == correctness)]
    rows = rows[(rows.method_a == "lwm") & (rows.method_b == "lwm")]
    (row,) = rows.itertuples()
    assert (row.lost_a, row.lost_b) == (len(a), len(b))
    assert (row.both, row.either) == (len(a & b), len(a | b))
    assert row.jaccard == pytest.approx(len(a & b) / len(a | b))
    assert row.inside_percent == pytest.approx(100 * len(a & b) / len(a))
    assert row.inside_by_chance_percent == pytest.approx(100 * len(b) / len(right))
    assert row.jaccard_by_chance == pytest.approx(jaccard_by_chance(len(a), len(b), len(right)))

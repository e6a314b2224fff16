"""Class by class, on counts that are written down."""

from dataclasses import replace

import numpy as np
import pandas as pd
import planted_run
import pytest
from scipy.stats import binom, binomtest, hypergeom

from thin_ice.margins.analysis import Network, pairs_of
from thin_ice.margins.classes import classes_table, difference_p
from thin_ice.margins.many_tests import adjusted
from thin_ice.margins.views import views_of

# By class: kept, lost, rescued, never right.
PLANTED = {0: (30, 0, 1, 1), 1: (20, 10, 0, 2), 2: (0, 0, 3, 4), 3: (0, 5, 0, 0)}


def networks():
    rows = [
        (label, dense, other)
        for label, sizes in PLANTED.items()
        for (dense, other), size in zip(((1, 1), (1, 0), (0, 1), (0, 0)), sizes, strict=True)
        for _ in range(size)
    ]
    table = pd.DataFrame(rows, columns=["label", "dense", "other"]).sample(frac=1, random_state=0)
    table["sample_id"] = np.arange(len(table))
    pair = []
    for variant in ("dense", "other"):
        samples = table[["sample_id", "label"]].assign(correct=table[variant] == 1)
        pair.append(samples.assign(robust=samples.correct))
    dense = Network("a", 0, "dense", "dense", 0.0, pair[0], None)
    return [dense, replace(dense, variant="lwm-0.9", method="lwm", sparsity=0.9, samples=pair[1])]


@pytest.fixture(scope="module")
def table():
    views = [v for pair in pairs_of(networks()) for v in views_of(pair, planted_run.setting())]
    return classes_table(views)


def test_each_class_has_its_counts_and_accuracies(table):
    for correctness in ("clean", "robust"):
        rows = table[table.correctness == correctness].set_index("label")
        assert sorted(rows.index) == sorted(PLANTED)
        for label, (kept, lost, rescued, never) in PLANTED.items():
            row, total = rows.loc[label], kept + lost + rescued + never
            assert (row.right, row.lost, row.rescued) == (kept + lost, lost, rescued)
            assert row.dense_percent == pytest.approx(100 * (kept + lost) / total)
            assert row.other_percent == pytest.approx(100 * (kept + rescued) / total)


def test_the_share_of_lost_has_wilsons_interval(table):
    for row in table.itertuples():
        if row.right == 0:
            assert np.isnan([row.lost_percent, row.low, row.high]).all()
            continue
        ends = binomtest(row.lost, row.right).proportion_ci(0.95, "wilson")
        found = np.array([row.lost_percent, row.low, row.high])
        assert found == pytest.approx(100 * np.array([row.lost / row.right, *ends]), abs=1e-6)


def fisher(lost, right, all_lost, all_right):
    """Two-sided: the chances of all outcomes that are no likelier than the one seen."""
    chances = hypergeom(all_right, right, all_lost)
    outcomes = chances.pmf(np.arange(right + 1))
    return outcomes[outcomes <= chances.pmf(lost) * (1 + 1e-7)].sum()


def test_a_class_is_tested_against_all_others(table):
    all_lost = sum(sizes[1] for sizes in PLANTED.values())
    all_right = sum(sizes[0] + sizes[1] for sizes in PLANTED.values())
    for row in table.itertuples():
        if row.right == 0:
            assert np.isnan(row.difference_p)
        else:
            expected = fisher(row.lost, row.right, all_lost, all_right)
            assert row.difference_p == pytest.approx(expected)
    np.testing.assert_allclose(table.adjusted_p, adjusted(table.difference_p))
    clean = table[table.correctness == "clean"].set_index("label").difference_p
    assert clean[3] < 0.001
    assert clean[0] < 0.001


def test_under_the_null_a_class_is_rejected_as_often_as_its_counts_allow():
    """500 draws of 40 lost samples from ten classes of 30, whatever their class. Counts are few, so
    no test reaches 5 in 100 exactly; what it can reach is the sum over the outcomes it rejects.
    """
    rng, draws, rejected = np.random.default_rng(0), 500, 0
    label, lost = np.arange(300) % 10, np.arange(300) < 40
    for _ in range(draws):
        all_lost = pd.Series(np.bincount(label[rng.permutation(lost)], minlength=10))
        rejected += difference_p(all_lost[0], 30 - all_lost[0], all_lost, 30 - all_lost) < 0.05
    outcomes = np.arange(31)
    rejects = np.array([fisher(own, 30, 40, 300) < 0.05 for own in outcomes])
    nominal = hypergeom(300, 30, 40).pmf(outcomes)[rejects].sum()
    assert 0.01 < nominal <= 0.05
    low, high = binom.ppf([0.0005, 0.9995], draws, nominal)
    assert low <= rejected <= high


def test_a_class_with_all_the_right_samples_has_no_others_to_be_tested_against():
    pair = [replace(n, samples=n.samples[n.samples.label == 1]) for n in networks()]
    views = [v for p in pairs_of(pair) for v in views_of(p, planted_run.setting())]
    assert classes_table(views).difference_p.isna().all()

"""Robust overfitting: the best eligible validated epoch minus the last, and its interval."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, binomtest

from thin_ice.evaluation.overfitting import COLUMNS, difference_interval, overfitting_table
from thin_ice.evaluation.summary import NETWORK

IMAGES = 200
NAN = math.nan


def named(variant, run="digits-net-pgd_at", seed=0):
    """A network as the analysis names it."""
    names = dict.fromkeys(NETWORK, "x") | {"run": run, "seed": seed, "variant": variant}
    method, _, sparsity = variant.partition("-")
    return names | {"method": method, "sparsity": float(sparsity or 0)}


def history(robust, clean=None, eligible=1, train=0.9):
    """A history as a stage writes it, an epoch a value; NaN: not validated."""
    validated = ~np.isnan(robust)
    return pd.DataFrame(
        {
            "epoch": np.arange(len(robust)) + 1,
            "lr": 0.1,
            "loss": 1.0,
            "train_accuracy": train,
            "validation_clean": np.where(validated, 0.8, NAN) if clean is None else clean,
            "validation_robust": robust,
            "eligible": eligible,
        }
    )


def row(*arguments, **words):
    """The row of one network alone, which has this history."""
    table = overfitting_table([named("m-0.9")], ["mask"], [history(*arguments, **words)], IMAGES)
    return table.iloc[0]


def newcombe(first, second, size):
    """Method 10, from scipy's Wilson intervals of whole numbers."""
    (one, two), (p, q) = (first, second), (first / size, second / size)
    of_one, of_two = (binomtest(n, size).proportion_ci(0.95, "wilson") for n in (one, two))
    below = math.sqrt((p - of_one.low) ** 2 + (of_two.high - q) ** 2)
    above = math.sqrt((of_one.high - p) ** 2 + (q - of_two.low) ** 2)
    return p - q - below, p - q + above


def test_the_best_epoch_and_the_last_are_those_of_the_history():
    found = row([0.3, 0.5, 0.45, 0.4], train=[0.2, 0.5, 0.7, 0.85])
    assert found[["run", "seed", "variant", "stage"]].tolist() == [
        "digits-net-pgd_at",
        0,
        "m-0.9",
        "mask",
    ]
    assert (found.epochs, found.measure, found.validation_images) == (4, "robust", 200)
    assert found.best_epoch == 2
    values = found[["best_percent", "last_percent", "overfitting_points"]].astype(float)
    assert values.tolist() == pytest.approx([50, 40, 10])
    assert found.train_percent == pytest.approx(85)
    assert found.gap_points == pytest.approx(45)
    low, high = newcombe(100, 80, IMAGES)
    interval = found[["overfitting_low", "overfitting_high"]].astype(float)
    assert interval.tolist() == pytest.approx([100 * low, 100 * high])


def test_an_epoch_that_might_not_have_been_chosen_is_neither_the_best_nor_the_last():
    found = row([0.6, 0.5, 0.4, 0.1], eligible=[0, 1, 1, 0], train=[0.1, 0.2, 0.3, 0.4])
    assert (found.best_epoch, found.epochs) == (2, 4)
    assert found.overfitting_points == pytest.approx(10)
    assert found.gap_points == pytest.approx(-10)


def test_epochs_that_were_not_validated_are_passed_over():
    found = row([NAN, 0.5, NAN, 0.4, NAN], train=[0.1, 0.2, 0.3, 0.7, 0.9])
    assert (found.best_epoch, found.epochs) == (2, 5)
    assert found.overfitting_points == pytest.approx(10)
    assert found.train_percent == pytest.approx(70)


def test_the_last_epoch_may_be_the_best_and_then_nothing_is_lost():
    found = row([0.3, NAN, 0.5])
    assert (found.best_epoch, found.overfitting_points) == (3, 0)
    assert found.overfitting_low < 0 < found.overfitting_high


@pytest.mark.parametrize("column", ["empty", "absent"])
def test_without_a_robust_measure_clean_accuracy_counts(column):
    told = history([NAN, NAN, NAN], clean=[0.7, 0.9, 0.85])
    told = told.drop(columns="validation_robust") if column == "absent" else told
    found = overfitting_table([named("m-0.9")], ["finetune"], [told], IMAGES).iloc[0]
    assert (found.measure, found.best_epoch) == ("clean", 2)
    assert found.overfitting_points == pytest.approx(5)
    assert found.gap_points == pytest.approx(5)


def test_overfitting_of_different_measures_does_not_compare():
    """As where a naturally trained network's pruned one is fine-tuned robustly."""
    names = [named("dense"), named("m-0.9")]
    clean = history([NAN, NAN, NAN], clean=[0.7, 0.9, 0.85])
    table = overfitting_table(
        names, ["dense", "finetune"], [clean, history([0.5, 0.4, 0.3])], IMAGES
    )
    assert table.measure.tolist() == ["clean", "robust"]
    assert table.overfitting_points.tolist() == pytest.approx([5, 20])
    assert table.cured_points.isna().all()


def test_of_equal_epochs_the_best_is_the_one_that_training_keeps():
    """More clean accuracy decides, then the later one."""
    assert row([0.5, 0.5, 0.5], clean=[0.6, 0.8, 0.7]).best_epoch == 2
    assert row([0.5, 0.5, 0.4], clean=[0.8, 0.8, 0.9]).best_epoch == 2


def test_robust_accuracy_counts_where_there_is_some_whatever_clean_does():
    found = row([0.5, 0.4], clean=[0.7, 0.9])
    assert (found.measure, found.best_epoch) == ("robust", 1)


@pytest.mark.parametrize(
    ("robust", "eligible"), [([0.5, 0.4], 0), ([NAN, NAN], 1), ([], 1)], ids=str
)
def test_without_an_epoch_to_choose_there_is_no_number(robust, eligible):
    names = [named("dense"), named("m-0.9")]
    histories = [history([0.5, 0.4]), history(robust, eligible=eligible)]
    table = overfitting_table(names, ["dense", "mask"], histories, IMAGES)
    found = table.iloc[1]
    assert found.epochs == len(robust)
    assert found.loc["best_epoch":"gap_points"].isna().all()
    assert np.isnan(found.cured_points)


def test_catastrophic_overfitting_is_told_from_the_history():
    told = history([0.4, 0.5, 0.1, 0.0])
    assert np.isnan(row([0.4, 0.5, 0.1, 0.0]).catastrophic_epoch)
    found = [
        overfitting_table([named("dense")], ["dense"], [one], IMAGES).catastrophic_epoch.item()
        for one in (
            told.assign(validation_single_step=[0.5, 0.6, 0.9, 0.9]),
            told.assign(validation_single_step=[0.5, 0.6, 0.1, 0.1]),
            told.assign(validation_single_step=NAN),
        )
    ]
    assert found == pytest.approx([3, NAN, NAN], nan_ok=True)


def study():
    """Two runs of two seeds, each with a dense network and two others that lose less."""
    lost = {}
    for place, run in enumerate(("digits-net-pgd_at", "digits-net-trades")):
        for seed in (0, 1):
            dense = 0.08 + 0.04 * seed + 0.16 * place
            for variant, points in (("dense", dense), ("m-0.9", 0.02), ("m-0.99", dense + 0.01)):
                lost[run, seed, variant] = points
    names = [named(variant, run, seed) for run, seed, variant in lost]
    histories = [history([0.5, 0.5 - points]) for points in lost.values()]
    return lost, overfitting_table(names, ["dense"] * len(names), histories, IMAGES)


def test_each_network_stands_beside_the_dense_one_of_its_run_and_seed():
    lost, table = study()
    assert list(zip(table.run, table.seed, table.variant, strict=True)) == list(lost)
    for found in table.itertuples():
        dense = 100 * lost[found.run, found.seed, "dense"]
        own = 100 * lost[found.run, found.seed, found.variant]
        assert found.overfitting_points == pytest.approx(own)
        if found.variant == "dense":
            assert np.isnan(found.dense_overfitting_points)
            assert np.isnan(found.cured_points)
        else:
            assert found.dense_overfitting_points == pytest.approx(dense)
            assert found.cured_points == pytest.approx(dense - own)
    assert (table.cured_points < 0).sum() == 4  # those that lose more than the dense network


def test_a_network_that_was_not_trained_here_has_no_row_and_cures_nobody():
    names = [named("dense"), named("m-0.9"), named("dense", seed=1), named("m-0.9", seed=1)]
    histories = [None, history([0.5, 0.4]), history([0.5, 0.2]), history([0.5, 0.4])]
    table = overfitting_table(names, [None, "a", "dense", "b"], histories, IMAGES)
    found = list(zip(table.seed, table.variant, table.stage, strict=True))
    assert found == [(0, "m-0.9", "a"), (1, "dense", "dense"), (1, "m-0.9", "b")]
    assert table.cured_points.tolist() == pytest.approx([NAN, NAN, 20], nan_ok=True)
    alone = overfitting_table(names[:2], [None, "a"], histories[:2], IMAGES)
    assert alone.cured_points.isna().all()
    assert len(alone) == 1


@pytest.mark.parametrize("names", [[], [named("dense")]])
def test_a_table_without_a_row_has_all_its_columns(names):
    table = overfitting_table(names, [None] * len(names), [None] * len(names), IMAGES)
    assert table.empty
    assert list(table) == COLUMNS
    assert list(study()[1]) == COLUMNS


@pytest.mark.parametrize(
    ("first", "second", "size", "low", "high"),
    [
        (9, 3, 10, 0.1705, 0.8090),
        (6, 2, 7, 0.0582, 0.8062),
        (0, 0, 10, -0.2775, 0.2775),
        (10, 0, 10, 0.6075, 1.0000),
    ],
)
def test_the_interval_is_newcombes_own(first, second, size, low, high):
    """Newcombe 1998, table II, method 10."""
    found = difference_interval(first / size, second / size, size)
    assert found == pytest.approx((low, high), abs=5e-5)
    assert found == pytest.approx(newcombe(first, second, size))


@pytest.mark.parametrize("size", [7, 200, 5000])
def test_the_interval_holds_the_difference_and_is_the_same_from_the_other_side(size):
    rng = np.random.default_rng(size)
    for first, second in rng.integers(0, size + 1, (50, 2)).tolist():
        low, high = difference_interval(first / size, second / size, size)
        assert -1 <= low <= (first - second) / size <= high <= 1
        assert (low, high) == pytest.approx(newcombe(first, second, size))
        back = difference_interval(second / size, first / size, size)
        assert back == pytest.approx((-high, -low))


def coverage(size, p, q):
    """The chance that the interval of two independent shares holds the true difference."""
    counts = np.arange(size + 1)
    chances = np.outer(binom.pmf(counts, size, p), binom.pmf(counts, size, q))
    ends = np.array(
        [[difference_interval(a, b, size) for b in counts / size] for a in counts / size]
    )
    return float(chances[(ends[..., 0] <= p - q) & (p - q <= ends[..., 1])].sum())


@pytest.mark.parametrize(("p", "q"), [(0.5, 0.5), (0.55, 0.45), (0.8, 0.6), (0.3, 0.25)])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(p, q):
    assert 0.935 < coverage(30, p, q) < 0.975


def test_more_images_narrow_the_interval():
    few, many = (np.ptp(difference_interval(0.5, 0.4, size)) for size in (100, 400))
    assert many == pytest.approx(few / 2, rel=0.02)

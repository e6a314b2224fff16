"""The overestimate table against counts by hand, its intervals against a plain bootstrap."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from thin_ice.evaluation.overestimate import Evaluated, interval, overestimate_table


def plain_interval(lost, resamples, seed):
    """Resample the differences and the two pseudo-observations one draw at a time."""
    rng = np.random.default_rng(seed)
    pool = [*lost, -1.0, 1.0]
    means = []
    for _ in range(resamples):
        means.append(sum(pool[rng.integers(len(pool))] for _ in pool) / len(pool))
    return 100 * np.quantile(means, 0.025), 100 * np.quantile(means, 0.975)


@pytest.mark.parametrize(
    "lost",
    [
        [0.0] * 60,
        [1.0] * 5 + [0.0] * 55,
        [1.0] * 20 + [-1.0] * 10 + [0.0] * 30,
        [0.5] * 7 + [-0.5] * 3 + [1.0] * 4 + [0.0] * 46,
    ],
)
def test_the_interval_is_that_of_a_plain_bootstrap(lost):
    value, low, high = interval(np.array(lost), 20_000, seed=0)
    assert value == pytest.approx(100 * sum(lost) / len(lost))
    assert (low, high) == pytest.approx(plain_interval(lost, 4000, seed=1), abs=0.9)
    assert low < value < high


@pytest.mark.parametrize(
    ("samples", "lost", "gained"),
    [(100, 0.3, 0.1), (100, 0.05, 0.05), (100, 0.03, 0.0), (20, 0.2, 0.1)],
)
def test_the_interval_covers_the_planted_difference(samples, lost, gained):
    """No less often than 95 in 100, with few differences too; 300 resamples leave it a little
    narrow, hence 94, and chance another three deviations.
    """
    rng, draws, hits = np.random.default_rng(0), 500, 0
    chances = (gained, 1 - lost - gained, lost)
    for seed in range(draws):
        differences = rng.choice([-1.0, 0.0, 1.0], samples, p=chances)
        _, low, high = interval(differences, 300, seed)
        hits += low <= 100 * (lost - gained) <= high
    assert hits >= binom.ppf(0.0013, draws, 0.94), hits


def test_the_interval_is_the_same_every_time_and_wider_for_fewer_samples():
    few, many = np.array([1.0, 0, 0, 0] * 10), np.array([1.0, 0, 0, 0] * 100)
    assert interval(few, 500, 3) == interval(few, 500, 3)
    widths = [high - low for _, low, high in (interval(v, 500, 3) for v in (few, many))]
    assert widths[0] > 2 * widths[1]


def evaluated(seed, counts, method="lwm", **more):
    """Outcomes of 20 samples, by column the number of them that stand, always the first ones."""
    samples = pd.DataFrame({name: np.arange(20) < count for name, count in counts.items()})
    names = {"run": "r", "seed": seed, "method": method, "sparsity": 0.9}
    return Evaluated(names, "p", samples, **more)


FIRST = {
    "robust": 8,
    "claimed_p": 14,
    "claimed_p_any_iterate": 13,
    "claimed_p_last": 13,
    "claimed_p_eps": 12,
    "claimed_p_steps": 14,
    "claimed_p_restarts": 11,
    "claimed_p_loss": 10,
    "claimed_p_train_mode": 18,
}


def test_a_row_counts_what_each_mechanism_hides_in_points():
    (row,) = overestimate_table([evaluated(0, FIRST)], 200, 0).to_dict("records")
    points = {name: row[f"{name}_points"] for name in ("eps", "steps", "restarts", "loss", "last")}
    assert points == pytest.approx({"eps": 10, "steps": 0, "restarts": 15, "loss": 20, "last": 5})
    assert (row["claimed_percent"], row["autoattack_percent"]) == pytest.approx((70, 40))
    assert row["overestimate_points"] == pytest.approx(30)
    assert row["train_mode_points"] == pytest.approx(20)  # what more would be claimed
    assert row["overestimate_low"] < 30 < row["overestimate_high"]


def test_a_mechanism_that_a_protocol_is_sound_in_is_empty():
    (row,) = overestimate_table(
        [evaluated(0, {"robust": 8, "claimed_p": 9, "claimed_p_any_iterate": 9})],
        50,
        0,
    ).to_dict("records")
    for name in ("eps", "steps", "restarts", "loss", "last", "mode", "selection", "train_mode"):
        for end in ("points", "low", "high"):
            assert np.isnan(row[f"{name}_{end}"]), name


def test_seeds_are_averaged_and_their_spread_is_kept():
    second = FIRST | {"robust": 12, "claimed_p_loss": 14}
    (row,) = overestimate_table([evaluated(0, FIRST), evaluated(1, second)], 100, 0).to_dict(
        "records"
    )
    assert row["seeds"] == 2
    assert row["overestimate_points"] == pytest.approx(20)  # 30 and 10
    assert row["overestimate_sd"] == pytest.approx(np.std([30, 10], ddof=1))
    assert (row["overestimate_min"], row["overestimate_max"]) == pytest.approx((10, 30))
    assert row["loss_points"] == pytest.approx(10)  # 20 and 0
    assert row["autoattack_percent"] == pytest.approx(50)  # 40 and 60
    # The interval is over 20 samples, each with the mean of its seeds, and not over 40.
    number = np.arange(20)
    own = np.mean([(number < 14) * 1.0 - (number < robust) for robust in (8, 12)], axis=0)
    found = [row[f"overestimate_{end}"] for end in ("points", "low", "high")]
    assert found == pytest.approx(list(interval(own, 100, 0)))
    one = overestimate_table([evaluated(0, FIRST)], 100, 0).iloc[0]
    assert np.isnan(one.overestimate_sd)


def test_selection_is_the_best_epoch_on_test_minus_the_chosen_one():
    number = np.arange(20)
    watched = pd.DataFrame({"best_on_test": number < 9, "chosen_on_validation": number < 6})
    (row,) = overestimate_table([evaluated(0, FIRST, selection=watched)], 50, 0).to_dict("records")
    assert row["selection_points"] == pytest.approx(15)


def test_protocols_have_rows_of_their_own():
    one = evaluated(0, FIRST)
    other = replace(one, protocol="q", samples=one.samples.assign(claimed_q=True))
    table = overestimate_table([one, other], 9, 0)
    assert table.protocol.tolist() == ["p", "q"]
    assert table.claimed_percent.tolist() == pytest.approx([70, 100])


def test_methods_have_rows_of_their_own_in_the_order_given():
    table = overestimate_table(
        [evaluated(0, FIRST, "dense"), evaluated(0, FIRST, "a"), evaluated(1, FIRST, "dense")], 9, 0
    )
    assert table.method.tolist() == ["dense", "a"]
    assert table.seeds.tolist() == [2, 1]

"""From indicators of samples to flags of a network."""

import json

import numpy as np
import pandas as pd
import pytest

from thin_ice.evaluation.flags import INDICATORS, LIMITS, columns, network_indicators

SHARES = [name for name in INDICATORS if name != "unstable_predictions"]


def rows(samples=1000, attack="pgd", change=0.0, **held):
    """Samples of one attack; ``held``: for how many of them an indicator holds."""
    number = np.arange(samples)
    flags = {name: number < held.get(name, 0) for name in INDICATORS}
    return pd.DataFrame(
        {"sample_id": number, "attack": attack, **flags, "relative_change": change, "late_gain": 0}
    )


def found(table):
    return network_indicators(table, 1500, ["pgd"])["attacks"]["pgd"]


@pytest.mark.parametrize("name", SHARES)
def test_an_indicator_is_raised_above_its_share_of_the_samples(name):
    limit = int(1000 * LIMITS[name])
    assert limit >= 10
    for held, raised in ((limit, False), (limit + 1, True)):
        one = found(rows(**{name: held}))
        assert one[name] == {"value": held / 1000, "limit": LIMITS[name], "raised": raised}
        assert not any(one[other]["raised"] for other in INDICATORS if other != name)


@pytest.mark.parametrize("name", SHARES)
def test_one_sample_alone_raises_nothing_however_few_there_are(name):
    for held, raised in ((1, False), (2, True)):
        assert found(rows(10, **{name: held}))[name]["raised"] == raised


def test_unstable_predictions_are_a_mean_over_samples_and_no_share():
    half = rows(unstable_predictions=500, change=0.0999)
    assert not found(half)["unstable_predictions"]["raised"]
    half.loc[:9, "relative_change"] = 0.9
    one = found(half)["unstable_predictions"]
    assert one["raised"]
    assert one["value"] == pytest.approx(0.107901)


def test_a_mean_is_no_count_and_of_few_samples_it_is_raised_too():
    assert found(rows(4, change=0.2))["unstable_predictions"]["raised"]


def test_attacks_are_judged_apart_and_the_samples_counted_once():
    both = pd.concat([rows(10, silent_success=10), rows(10, attack="apgd_ce")])
    result = network_indicators(both, 12, ["pgd", "apgd_ce"])
    assert (result["samples"], result["attacked"]) == (12, 10)
    raised = {name: one["silent_success"]["raised"] for name, one in result["attacks"].items()}
    assert raised == {"pgd": True, "apgd_ce": False}


def test_where_nothing_was_attacked_nothing_is_known_and_nothing_raised():
    result = network_indicators(rows(0), 30, ["pgd"])
    assert result["attacked"] == 0
    assert all(one["value"] is None for one in result["attacks"]["pgd"].values())
    assert columns(result["attacks"]["pgd"], "claimed")["claimed_flags"] == "none"
    json.dumps(result, allow_nan=False)


def test_columns_number_the_indicators_in_the_order_of_the_paper():
    one = columns(found(rows(unavailable_gradients=1000, unconstrained_failure=500)), "apgd")
    assert list(one) == [*(f"apgd_i{n}" for n in range(1, 7)), "apgd_flags"]
    assert (one["apgd_i1"], one["apgd_i6"], one["apgd_flags"]) == (1, 0.5, "I1 I6")

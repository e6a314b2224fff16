"""Joining shards loses and doubles nobody; shares have the intervals of a hand formula."""

import math

import numpy as np
import pandas as pd
import pytest

from thin_ice.errors import ThinIceError
from thin_ice.evaluation.flags import INDICATORS, network_indicators
from thin_ice.evaluation.metrics import accuracy, join_shards, metrics
from thin_ice.evaluation.shards import PROTOCOL
from thin_ice.evaluation.summary import accuracy_table

Z = 1.959963984540054  # 97.5 % quantile of the normal distribution


def evaluated(ids):
    return pd.DataFrame({"sample_id": ids, "correct": [i % 2 == 0 for i in ids]})


def shard(ids):
    outcomes = ["broken" if i % 3 else "withstood" for i in ids]
    robust = [i % 3 == 0 for i in ids]
    return pd.DataFrame({"sample_id": ids, "autoattack_square": outcomes, "robust": robust})


def wilson(hits, total):
    """Wilson's interval for a share (Wilson 1927), in percent."""
    share = hits / total
    centre = share + Z**2 / (2 * total)
    spread = Z * math.sqrt(share * (1 - share) / total + Z**2 / (4 * total**2))
    scale = 100 / (1 + Z**2 / total)
    return scale * (centre - spread), scale * (centre + spread)


def test_what_each_attack_broke_is_a_share_of_all_samples():
    table = join_shards(evaluated([0, 1, 2, 3]), [shard([0, 1, 2, 3])])
    assert metrics(table, [])["broken_by_percent"] == {"square": 50.0}


def test_shards_join_on_the_sample_id_in_whatever_order_they_come():
    ids = [4, 0, 7, 3, 9]
    joined = join_shards(evaluated(ids), [shard([9, 3]), shard([]), shard([7, 4, 0])])
    assert joined.sample_id.tolist() == ids
    assert joined.correct.tolist() == [i % 2 == 0 for i in ids]
    assert joined.robust.tolist() == [i % 3 == 0 for i in ids]
    assert joined.robust.sum() == 3


@pytest.mark.parametrize(
    ("shards", "verdicts", "samples"),
    [
        ([[0, 1], [2]], 3, 3),  # sample 3 has no verdict
        ([[0, 1], [2, 3], [3]], 5, 4),  # sample 3 has two
        ([[0, 1], [1, 2]], 4, 3),  # as many verdicts as samples
        ([[0, 1], [2, 3, 4]], 5, 5),  # sample 4 was not evaluated
        ([[0, 1], [2, 4]], 4, 4),  # a shard of another test split
        ([[0, 1], [0, 1], [2, 3]], 6, 4),  # one shard twice
    ],
)
def test_shards_that_do_not_cover_the_samples_exactly_once_are_refused(shards, verdicts, samples):
    with pytest.raises(ThinIceError, match=f"4 samples.*{verdicts} verdicts on {samples} samples"):
        join_shards(evaluated([0, 1, 2, 3]), [shard(ids) for ids in shards])


@pytest.mark.parametrize(("hits", "total"), [(0, 10), (10, 10), (1, 7), (613, 1000), (1, 1)])
def test_an_accuracy_is_a_percentage_with_its_wilson_interval(hits, total):
    result = accuracy(pd.Series([True] * hits + [False] * (total - hits)))
    assert result["percent"] == pytest.approx(100 * hits / total)
    interval = result["low_percent"], result["high_percent"]
    assert interval == pytest.approx(wilson(hits, total), abs=1e-9)
    assert 0 <= interval[0] <= result["percent"] <= interval[1] <= 100


def samples():
    """100 samples: 90 right, 60 robust; one protocol finds 75 robust, another only 55."""
    number = np.arange(100)
    return pd.DataFrame(
        {
            "sample_id": number,
            "correct": number < 90,
            "robust": number < 60,
            "claimed_kind": number < 75,
            "claimed_kind_any_iterate": number < 70,
            "claimed_harsh": number < 55,
            "claimed_harsh_any_iterate": number < 50,
        }
    )


def test_the_overestimate_is_claimed_minus_autoattack_in_points():
    result = metrics(samples(), ["kind", "harsh"])
    assert result["claimed"]["kind"]["overestimate_points"] == pytest.approx(15)
    assert result["claimed"]["harsh"]["overestimate_points"] == pytest.approx(-5)


def test_metrics_count_each_column_on_its_own():
    result = metrics(samples(), ["kind", "harsh"])
    assert result["samples"] == 100
    assert result["clean"]["percent"] == pytest.approx(90)
    assert result["autoattack"]["percent"] == pytest.approx(60)
    assert result["autoattack"]["low_percent"] == pytest.approx(wilson(60, 100)[0])
    assert result["claimed"]["kind"]["accuracy"]["percent"] == pytest.approx(75)
    assert result["claimed"]["kind"]["any_iterate_percent"] == pytest.approx(70)
    assert result["claimed"]["harsh"]["any_iterate_percent"] == pytest.approx(50)


def test_a_network_without_protocols_still_has_its_accuracies():
    assert metrics(samples(), [])["claimed"] == {}


NETWORKS = [
    {
        "run": "a",
        "seed": 0,
        "variant": variant,
        "method": method,
        "unit": unit,
        "kind": method,
        "pipeline": "none" if method == "dense" else "before",
        "sparsity": sparsity,
        "trained_with": "ibp",
        "tuned_with": tuned,
        "goal": "verified",
        "tuned_goal": goal,
    }
    for variant, method, unit, sparsity, tuned, goal in (
        ("dense", "dense", "none", 0.0, "none", "verified"),
        ("lwm-0.9", "lwm", "filter", 0.9, "pgd_at", "empirical"),
    )
]


def finished(protocols):
    """A network's metrics file."""
    extra = {"dataset": "digits", "sparsity": {"prunable": 0.88, "all_parameters": 0.85}}
    extra["autoattack_protocol"] = dict(zip(PROTOCOL, ("plus", 3, 50, 70), strict=True))
    extra["autoattack_warnings"] = [{"kind": kind} for kind in ("dynamic", "zero_gradients")]
    extra["autoattack_unconfirmed"] = 2
    extra["collapse"] = {"signs": ["at_chance", "empty_layer"], "empty_layers": ["a", "b"]}
    extra["collapse"] |= {"guessing_percent": 12.0, "most_predicted_percent": 40.0}
    return metrics(samples(), protocols) | extra


def indicators(protocols, attacked=7):
    """A network's indicators.json: silent successes by the protocol that is kind."""
    rows = [
        {"sample_id": sample, "attack": attack, **dict.fromkeys(INDICATORS, False)}
        | {"relative_change": 0.05, "silent_success": attack == "kind" and sample < 3}
        for attack in [*protocols, "apgd_ce"]
        for sample in range(attacked)
    ]
    return network_indicators(pd.DataFrame(rows), 10, [*protocols, "apgd_ce"])


def test_the_accuracy_table_has_one_row_a_network_and_protocol():
    table = accuracy_table(
        NETWORKS,
        [finished(["kind", "harsh"]), finished(["kind"])],
        [indicators(["kind", "harsh"]), indicators(["kind"])],
        [{"verified_percent": 30.0}, {"verified_percent": math.nan}],
    )
    assert list(zip(table.variant, table.protocol, strict=True)) == [
        ("dense", "kind"),
        ("dense", "harsh"),
        ("lwm-0.9", "kind"),
    ]
    row = table.iloc[1]
    assert (row.run, row.seed, row.dataset, row.test_samples) == ("a", 0, "digits", 100)
    assert (row.sparsity_of_prunable, row.sparsity_of_all_parameters) == (0.88, 0.85)
    assert row.claimed_any_iterate_percent == pytest.approx(50)
    assert row.overestimate_points == pytest.approx(-5)
    protocol = [row[f"autoattack_{name}"] for name in PROTOCOL]
    assert protocol == ["plus", 3, 50, 70]
    assert row.autoattack_warnings == "dynamic;zero_gradients"
    assert row.autoattack_unconfirmed == 2
    assert table.unit.tolist() == ["none", "none", "filter"]
    assert table[
        ["kind", "trained_with", "tuned_with", "goal", "tuned_goal"]
    ].to_numpy().tolist() == [
        ["dense", "ibp", "none", "verified", "verified"],
        ["dense", "ibp", "none", "verified", "verified"],
        ["lwm", "ibp", "pgd_at", "verified", "empirical"],
    ]
    assert table.verified_percent.tolist() == pytest.approx([30, 30, math.nan], nan_ok=True)
    assert (row.collapse, row.empty_layers) == ("at_chance;empty_layer", 2)
    assert (row.guessing_percent, row.most_predicted_percent) == (12.0, 40.0)
    for what, hits in (("clean", 90), ("claimed", 55), ("autoattack", 60)):
        interval = row[f"{what}_low_percent"], row[f"{what}_high_percent"]
        assert interval == pytest.approx(wilson(hits, 100))
        assert row[f"{what}_percent"] == pytest.approx(hits)


def test_networks_and_their_metrics_must_match_in_number():
    with pytest.raises(ValueError, match="shorter"):
        accuracy_table(NETWORKS, [finished(["kind"])], [indicators(["kind"])], [{}])


def test_the_accuracy_table_says_which_indicators_are_raised_for_which_attack():
    table = accuracy_table(
        NETWORKS[:1], [finished(["kind", "harsh"])], [indicators(["kind", "harsh"])], [{}]
    )
    assert table.claimed_flags.tolist() == ["I3", "none"]
    assert table.apgd_flags.tolist() == ["none", "none"]
    assert table.claimed_i3.tolist() == pytest.approx([3 / 7, 0])
    assert table.claimed_i2.tolist() == pytest.approx([0.05, 0.05])
    assert table.attacked_for_indicators.tolist() == [7, 7]

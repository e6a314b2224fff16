"""Only shards of this network, these samples and one protocol make a verdict."""

import copy

import pandas as pd
import pytest

from thin_ice.evaluation.shards import (
    ForeignShard,
    Shard,
    Subject,
    autoattack_numbers,
    require_shards,
    robust_after,
    warnings_of,
)

IDS = [5, 7, 11, 13, 17]
THREAT = {"norm": "Linf", "eps": 0.1}
SUBJECT = Subject("a" * 64, "b" * 64, THREAT, IDS)
BROKEN_BY = ["clean", "apgd-ce", "square", "none", "none"]


def shard(number, flags=None, **checks):
    part = slice(2 * number, 2 * number + 2)
    table = pd.DataFrame(
        {
            "sample_id": IDS[part],
            "autoattack_apgd_ce": "",
            "autoattack_square": "",
            "broken_by": BROKEN_BY[part],
            "margin_left": [0.25 * i for i in IDS[part]],
            "confirmed": [i != 11 for i in IDS[part]],
        }
    )
    said = {
        "model_sha256": "a" * 64,
        "dataset_sha256": "b" * 64,
        "shard": number,
        "threat": THREAT,
        "protocol": {"version": "custom", "seed": 0, "batch_size": 4, "shard_size": 2},
        "settings": {"apgd_restarts": 1},
        "flags": flags or {},
        "files": {"outcomes.parquet": f"{number}" * 64},
    }
    return Shard(f"shard{number}/outcomes.parquet", f"{number}" * 64, table, said | checks)


def changed(number, **words):
    """A shard with one thing of its checks set, by ``part__name``."""
    one = shard(number)
    checks = copy.deepcopy(one.checks)
    for key, value in words.items():
        part, _, name = key.partition("__")
        if name:
            checks[part][name] = value
        else:
            checks[part] = value
    return Shard(one.name, one.sha256, one.table, checks)


def with_ids(number, ids):
    one = shard(number)
    return Shard(one.name, one.sha256, one.table.assign(sample_id=ids), one.checks)


def test_shards_that_belong_are_taken():
    require_shards([shard(0), shard(1), shard(2)], SUBJECT)
    require_shards([shard(2), shard(0), shard(1)], SUBJECT)


BAD = {
    "missing": ([shard(0), shard(2)], "shard 1 of AutoAttack is missing; .* shards 0 to 2"),
    "the last missing": ([shard(0), shard(1)], "shard 2 of AutoAttack is missing"),
    "twice": ([shard(0), shard(1), shard(1), shard(2)], "shard 1 .* given 2 times .*shard1/out"),
    "beyond the end": (
        [shard(0), shard(1), shard(2), changed(1, shard=3)],
        "shard 3 of AutoAttack is given 1 times",
    ),
    "another network": (
        [shard(0), changed(1, model_sha256="c" * 64), shard(2)],
        "shard1/outcomes.parquet attacked another network, cccccccccccc; allowed: aaaaaaaaaaaa",
    ),
    "another dataset": (
        [shard(0), changed(1, dataset_sha256="c" * 64), shard(2)],
        "shard1/outcomes.parquet attacked another dataset",
    ),
    "another eps": (
        [shard(0), changed(1, threat__eps=0.2), shard(2)],
        r"shard1/outcomes.parquet was attacked under .*0\.2.*; allowed: .*0\.1",
    ),
    "another norm": (
        [shard(0), changed(1, threat__norm="L2"), shard(2)],
        "shard1/outcomes.parquet was attacked under .*L2.*; allowed: .*Linf",
    ),
    "no digest of the table": (
        [shard(0), changed(1, files={}), shard(2)],
        "shard1/outcomes.parquet is not the table",
    ),
    "another order": (
        [shard(0), with_ids(1, [13, 11]), shard(2)],
        "shard1/outcomes.parquet holds other samples than shard 1",
    ),
    "a sample twice": (
        [shard(0), with_ids(1, [11, 11]), shard(2)],
        "shard1/outcomes.parquet holds other samples than shard 1 .* 2 verdicts, 1 of its 2",
    ),
    "another table": (
        [shard(0), changed(1, files={"outcomes.parquet": "d" * 64}), shard(2)],
        "shard1/outcomes.parquet is not the table",
    ),
    "another seed": (
        [shard(0), changed(1, protocol__seed=3), shard(2)],
        "shard1/outcomes.parquet was attacked with seed 3; allowed: 0, as shard0",
    ),
    "other budgets": (
        [shard(0), changed(1, settings__apgd_restarts=5), shard(2)],
        "with apgd_restarts 5; allowed: 1",
    ),
    "another split": (
        [shard(0), with_ids(1, [11, 14]), shard(2)],
        "shard1/outcomes.parquet holds other samples than shard 1 .* 2 verdicts, 1 of its 2",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_shard_that_does_not_belong_is_named(name):
    shards, words = BAD[name]
    with pytest.raises(ForeignShard, match=words):
        require_shards(shards, SUBJECT)


def joined(shards):
    return pd.concat([one.table for one in shards], ignore_index=True)


def zero(count):
    return {"kind": "zero_gradients", "message": f"there are {count} points with zero gradient!"}


def test_warnings_of_all_shards_are_one_entry_a_kind_with_square_judged_on_the_whole():
    shards = [
        shard(0, {"apgd-ce": [zero(1)], "square": []}),
        shard(1, {"apgd-ce": [zero(2)], "apgd-t": [zero(1)]}),
        shard(2),
    ]
    square, zeros = warnings_of(shards, joined(shards))
    assert zeros["kind"] == "zero_gradients"
    assert zeros["attacks"] == ["apgd-ce", "apgd-t"]
    assert zeros["shards"] == 2
    assert zeros["messages"] == [zero(1)["message"], zero(2)["message"]]
    assert square["kind"] == "square"
    assert square["attacks"] == ["square"]
    assert "20.00 points" in square["messages"][0]


def test_robust_shares_follow_the_cascade():
    shares = robust_after(joined([shard(0), shard(1), shard(2)]))
    assert shares == pytest.approx({"clean": 0.8, "apgd-ce": 0.6, "square": 0.4})


def test_the_numbers_have_the_protocol_the_unconfirmed_and_the_margins_of_survivors():
    shards = [shard(0), shard(1), shard(2)]
    numbers = autoattack_numbers(shards, joined(shards))
    assert numbers["autoattack_protocol"] == shards[0].checks["protocol"]
    assert numbers["autoattack_unconfirmed"] == 1
    assert numbers["median_margin_left"] == pytest.approx(0.25 * (13 + 17) / 2)
    nowhere = joined(shards).assign(margin_left=float("nan"))
    assert autoattack_numbers(shards, nowhere)["median_margin_left"] is None

"""Shards: together exactly the test split, each a cascade that a kill does not change."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_digits

from thin_ice.attacks.threat import ThreatModel
from thin_ice.attacks.versions import CascadeSettings
from thin_ice.checkpoint import Checkpoint
from thin_ice.data.split import Split
from thin_ice.evaluation import cascade
from thin_ice.evaluation.cascade import Cascade, run_shard
from thin_ice.models.network import Architecture
from thin_ice.study.load import study_from

torch.set_num_threads(1)

ATTACKS = ("square", "apgd-ce")
COLUMNS = ["autoattack_square", "autoattack_apgd_ce"]
CASCADE = Cascade(
    ThreatModel("Linf", 0.06), CascadeSettings(ATTACKS, square_queries=5), seed=0, batch_size=16
)


def study(limit, size):
    return study_from(
        {
            "name": "shards",
            "seeds": [0],
            "threat": {"norm": "Linf", "eps": 0.1},
            "datasets": {"digits": {"limit_test": limit}},
            "models": {"digits_cnn": {}},
            "objectives": {"natural": {}},
            "methods": {"lwm": {}},
            "sparsities": [0.5],
            "autoattack": {"shard_size": size},
        }
    )


@pytest.mark.parametrize("limit", [None, 10, 60, 61])
@pytest.mark.parametrize("size", [1, 7, 10, 20, 60, 719, 1000])
def test_the_studys_shards_cover_the_test_split_exactly_once(limit, size):
    total = limit or 719
    images = torch.zeros(total, 1, 1, 1, dtype=torch.uint8)
    test = Split(images, torch.arange(total), torch.arange(total) * 2)
    shards = [test.shard(number, size) for number in study(limit, size).shards("digits")]
    assert torch.equal(torch.cat([shard.ids for shard in shards]), test.ids)
    assert torch.equal(torch.cat([shard.labels for shard in shards]), test.labels)
    assert all(0 < len(shard) <= size for shard in shards)


def network():
    return Architecture("digits_cnn", {"width": 4}, (1, 8, 8), 10, False).build(seed=1).eval()


@pytest.fixture(scope="module")
def shard():
    """24 digits, every fourth with a label that the network does not say."""
    images = torch.tensor(load_digits().images[:24] * 255 / 16).to(torch.uint8)[:, None]
    with torch.no_grad():
        said = network()(images / 255).argmax(1)
    labels = torch.where(torch.arange(24) % 4 == 0, (said + 1) % 10, said)
    return Split(images, labels, torch.arange(24) + 50)


@pytest.fixture(scope="module")
def result(shard, tmp_path_factory):
    checkpoint = Checkpoint(tmp_path_factory.mktemp("shard") / "checkpoint", "job")
    return run_shard(network(), shard, CASCADE, checkpoint)


def test_a_shards_table_has_its_samples_an_outcome_an_attack_and_the_verdict(result, shard):
    table, facts = result.table, result.facts
    about = ["robust", "broken_by", "margin_left", "confirmed"]
    assert list(table.columns) == ["sample_id", *COLUMNS, *about]
    assert table.sample_id.tolist() == shard.ids.tolist()
    assert list(facts["seconds"]) == list(result.flags) == list(ATTACKS)


def test_the_facts_say_what_a_sample_cost_in_each_attack(result):
    table, facts = result.table, result.facts
    for name, column in zip(ATTACKS, COLUMNS, strict=True):
        given = int((table[column] != "skipped").sum())
        assert facts["attacked"][name] == given
        each = facts["seconds_per_attacked_sample"][name]
        assert each == pytest.approx(facts["seconds"][name] / given, abs=1e-6)


def test_misclassified_samples_are_attacked_by_nobody_and_never_robust(result):
    wrong = result.table.iloc[::4]
    assert (wrong[COLUMNS] == "skipped").all(axis=None)
    assert not wrong.robust.any()
    assert (result.table.drop(wrong.index).autoattack_square != "skipped").all()


def test_a_broken_sample_is_attacked_no_further_and_is_not_robust(result):
    table = result.table
    right = table[table.autoattack_square != "skipped"]
    assert {"broken", "withstood"} == set(right.autoattack_square)
    broken = right.autoattack_square == "broken"
    assert (broken == (right.autoattack_apgd_ce == "skipped")).all()
    assert (table.robust == (table.autoattack_apgd_ce == "withstood")).all()
    assert 0 < table.robust.sum() < (~broken).sum()


def test_a_killed_shard_goes_on_after_its_last_attack_with_the_same_verdicts(
    result, shard, tmp_path, monkeypatch
):
    checkpoint = Checkpoint(tmp_path / "checkpoint", "job")
    attacks, done = cascade.run_attack, []

    def killed_in_the_second(package, name, *rest):
        done.append(name)
        if len(done) == 2:
            raise KeyboardInterrupt
        return attacks(package, name, *rest)

    monkeypatch.setattr(cascade, "run_attack", killed_in_the_second)
    with pytest.raises(KeyboardInterrupt):
        run_shard(network(), shard, CASCADE, checkpoint)
    again = run_shard(network(), shard, CASCADE, checkpoint)
    assert done == ["square", "apgd-ce", "apgd-ce"]
    pd.testing.assert_frame_equal(again.table, result.table)
    assert torch.equal(again.examples.images, result.examples.images)
    assert list(again.facts["seconds"]) == list(ATTACKS)


@pytest.mark.parametrize("samples", [0, 1])
def test_a_shard_with_nobody_to_attack_has_the_same_columns(shard, samples, tmp_path, result):
    checkpoint = Checkpoint(tmp_path / "c", "job")
    table = run_shard(network(), shard.head(samples), CASCADE, checkpoint).table
    assert list(table.columns) == list(result.table.columns)
    assert len(table) == samples
    assert not table.robust.any()
    assert table.robust.dtype == np.bool_

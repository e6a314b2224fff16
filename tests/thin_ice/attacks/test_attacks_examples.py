"""Stored adversarial examples are what they are said to be, and one that is not is found out."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from thin_ice.attacks.minimum_norm import margin
from thin_ice.attacks.threat import ThreatModel
from thin_ice.attacks.versions import CascadeSettings
from thin_ice.checkpoint import Checkpoint
from thin_ice.errors import ThinIceError
from thin_ice.evaluation import cascade as cascade_module
from thin_ice.evaluation.cascade import Cascade, run_shard
from thin_ice.evaluation.examples import read_examples, write_examples
from thin_ice.evaluation.recheck import recheck, tolerance

THREATS = [ThreatModel("Linf", 0.15), ThreatModel("L2", 0.6), ThreatModel("L1", 1.5)]
ATTACKS = CascadeSettings(("square", "apgd-ce", "apgd-t"), apgd_targets=1, square_queries=30)


def cascade_under(threat):
    settings = replace(ATTACKS, large_repetitions=threat.norm == "L1")
    return Cascade(threat, settings, seed=0, batch_size=16)


@pytest.fixture(scope="module", params=THREATS, ids=lambda threat: threat.norm)
def threat(request):
    return request.param


@pytest.fixture(scope="module")
def shard(digits):
    return digits["test"].head(30)


@pytest.fixture(scope="module")
def result(trained, shard, threat, tmp_path_factory):
    checkpoint = Checkpoint(tmp_path_factory.mktemp("shard") / "checkpoint", "job")
    return run_shard(trained, shard, cascade_under(threat), checkpoint)


def test_stored_examples_hold_when_reloaded(trained, shard, threat, result, tmp_path):
    """Without the code that made or checked them: size in float64, box, and the prediction."""
    path = tmp_path / "examples.safetensors"
    write_examples(path, result.examples, {"of": "a test"})
    examples, about = read_examples(path)
    assert about == {"of": "a test"}
    broken = result.table[~result.table.broken_by.isin(["clean", "none"])]
    assert examples.ids.tolist() == broken.sample_id[broken.confirmed].tolist()
    assert len(examples.ids) > 5
    assert examples.images.dtype == torch.float32
    places = torch.tensor([shard.ids.tolist().index(i) for i in examples.ids.tolist()])
    clean, labels = shard.floats()[places], shard.labels[places]
    order = {"Linf": np.inf, "L2": 2, "L1": 1}[threat.norm]
    delta = (examples.images.double() - clean.double()).flatten(1).numpy()
    assert np.linalg.norm(delta, order, axis=1).max() <= threat.eps * (1 + 1e-5)
    assert 0 <= examples.images.min() <= examples.images.max() <= 1
    assert (trained(examples.images).argmax(1) != labels).all()


def test_every_broken_sample_of_a_sound_network_is_confirmed(result):
    assert result.table.confirmed.all()


def test_the_table_says_who_broke_each_sample_first_and_by_what_margin(trained, shard, result):
    table = result.table
    columns = ["autoattack_" + name.replace("-", "_") for name in ATTACKS.attacks]
    for row, outcomes in zip(table.to_dict("records"), table[columns].values.tolist(), strict=True):
        if row["broken_by"] in ATTACKS.attacks:
            assert outcomes.index("broken") == ATTACKS.attacks.index(row["broken_by"])
            assert row["margin_left"] <= 0
        else:
            assert "broken" not in outcomes
        assert row["robust"] == (row["broken_by"] == "none")
    assert table.broken_by.nunique() >= 3
    clean = margin(trained(shard.floats()), shard.labels).numpy()
    robust, wrong = table.robust.to_numpy(), (table.broken_by == "clean").to_numpy()
    left = table.margin_left.to_numpy()
    assert (left[robust] > 0).all()
    assert (left[robust] < clean[robust]).all()
    np.testing.assert_allclose(left[wrong], clean[wrong], rtol=1e-5)
    assert (left[wrong] <= 0).all()
    ids = result.examples.ids.tolist()
    at_examples = margin(
        trained(result.examples.images), shard.labels[[shard.ids.tolist().index(i) for i in ids]]
    )
    found = table.set_index("sample_id").margin_left[ids].to_numpy()
    np.testing.assert_allclose(found, at_examples.numpy(), rtol=1e-4, atol=1e-5)


class Killed(Exception):
    """The scheduler's time limit."""


@pytest.mark.parametrize("done", [1, 2])
def test_examples_and_margins_survive_a_kill_after_any_attack(
    trained, shard, threat, result, tmp_path, monkeypatch, done
):
    run, ran = cascade_module.run_attack, []

    def killed(package, name, *rest):
        ran.append(name)
        if len(ran) == done + 1:
            raise Killed
        return run(package, name, *rest)

    monkeypatch.setattr(cascade_module, "run_attack", killed)
    checkpoint = Checkpoint(tmp_path / "checkpoint", "job")
    with pytest.raises(Killed):
        run_shard(trained, shard, cascade_under(threat), checkpoint)
    again = run_shard(trained, shard, cascade_under(threat), checkpoint)
    attacks = list(ATTACKS.attacks)
    assert ran == [*attacks[: done + 1], *attacks[done:]]
    pd.testing.assert_frame_equal(again.table, result.table, check_exact=True)
    assert torch.equal(again.examples.ids, result.examples.ids)
    assert torch.equal(again.examples.images, result.examples.images)
    assert again.flags == result.flags


FAULTS = {
    "outside the ball": lambda clean, found, eps: (clean + 1.001 * (found - clean)).clamp(0, 1),
    "outside the box": lambda clean, found, eps: torch.where(found == found.max(), 1.0001, found),
    "not adversarial": lambda clean, found, eps: clean.clone(),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_wrong_example_is_not_stored_but_flagged(
    trained, shard, tmp_path, monkeypatch, fault
):
    """An attack that lies about one sample: the verdict stays, the example does not."""
    threat, run, planted = ThreatModel("Linf", 0.15), cascade_module.run_attack, []

    def lying(package, name, images, labels, batch_size):
        outcome = run(package, name, images, labels, batch_size)
        for place in (~outcome.withstood).nonzero()[:1, 0].tolist():
            wrong = FAULTS[fault](images[place], outcome.adversarial[place], threat.eps)
            outcome.adversarial[place] = wrong
            planted.append(images[place])
        return outcome

    monkeypatch.setattr(cascade_module, "run_attack", lying)
    cascade = Cascade(threat, CascadeSettings(("apgd-ce",)), seed=0, batch_size=16)
    result = run_shard(trained, shard, cascade, Checkpoint(tmp_path / "c", "job"))
    (image,) = planted
    (place,) = (shard.floats() == image).flatten(1).all(1).nonzero()[:1, 0].tolist()
    unconfirmed = result.table[~result.table.confirmed]
    assert unconfirmed.sample_id.tolist() == [shard.ids[place].item()]
    assert unconfirmed.broken_by.tolist() == ["apgd-ce"]
    assert not unconfirmed.robust.any()
    assert shard.ids[place] not in result.examples.ids
    assert len(result.examples.ids) == (result.table.broken_by == "apgd-ce").sum() - 1


def test_the_tolerance_is_rounding_and_no_more(threat):
    """Of an image of 64 values: millionths of eps."""
    assert tolerance(threat, 64) / threat.eps < 1e-5


def test_a_recheck_of_nothing_is_empty(trained, shard, threat):
    none = shard.head(0)
    again = recheck(trained, none.floats(), none.labels, none.floats(), threat, 4)
    assert again.holds.shape == (0,)
    assert again.holds.dtype == torch.bool


def test_a_file_of_something_else_is_refused(tmp_path, result):
    path = tmp_path / "examples.safetensors"
    path.write_bytes(b"not safetensors")
    with pytest.raises(ThinIceError, match="is no readable file of examples"):
        read_examples(path)
    Checkpoint(path, "job").save({"a": {"b": torch.zeros(1)}}, {})
    with pytest.raises(ThinIceError, match="is no file of examples"):
        read_examples(path)

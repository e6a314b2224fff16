"""A network's own columns: clean predictions, and what published protocols did to each sample."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_digits

from thin_ice.attacks.claimed import run_protocol
from thin_ice.attacks.protocol import Protocol
from thin_ice.attacks.switches import switched
from thin_ice.attacks.threat import ThreatModel
from thin_ice.data.split import Split
from thin_ice.evaluation import claimed
from thin_ice.evaluation.claimed import claimed_outcomes, clean_table, protocol_table
from thin_ice.evaluation.metrics import metrics
from thin_ice.models.network import Architecture
from thin_ice.randomness import generator

torch.set_num_threads(1)

THREAT = ThreatModel("Linf", 0.1)
STRONG = Protocol("a test", 8 / 255, 2 / 255, 5)
WEAK = Protocol("a test", 1 / 255, 1 / 255, 1)
WILD = Protocol("a test", 6 / 255, 8 / 255, 8)  # overshoots: the last iterate is not the best


def network():
    return Architecture("digits_cnn", {"width": 4}, (1, 8, 8), 10, False).build(seed=1).eval()


def logits(model, split):
    with torch.no_grad():
        return model(split.floats())


@pytest.fixture(scope="module")
def split():
    """40 digits, every fourth with a label that the network does not say."""
    images = torch.tensor(load_digits().images[:40] * 255 / 16).to(torch.uint8)[:, None]
    said = logits(network(), Split(images, torch.zeros(40).long(), torch.arange(40))).argmax(1)
    labels = torch.where(torch.arange(40) % 4 == 0, (said + 1) % 10, said)
    return Split(images, labels, torch.arange(40) * 3 + 100)


def test_the_clean_table_is_what_the_network_says(split):
    table, outputs = clean_table(network(), split), logits(network(), split).numpy()
    labels = split.labels.numpy()
    assert table.sample_id.tolist() == split.ids.tolist()
    assert table.label.tolist() == labels.tolist()
    assert table.prediction.tolist() == outputs.argmax(1).tolist()
    assert table.correct.tolist() == (outputs.argmax(1) == labels).tolist()
    assert table.correct.sum() == 30
    others = np.where(np.eye(10, dtype=bool)[labels], -np.inf, outputs).max(1)
    np.testing.assert_allclose(
        table.logit_margin, outputs[np.arange(40), labels] - others, atol=1e-5
    )
    assert ((table.logit_margin > 0) == table.correct).all()


def test_batches_do_not_show_in_the_clean_table(split, monkeypatch):
    whole = clean_table(network(), split)
    monkeypatch.setattr(claimed, "BATCH", 7)
    pd.testing.assert_frame_equal(clean_table(network(), split), whole, atol=1e-5)


def test_a_protocols_columns_are_its_outcomes_at_the_studys_eps(split):
    table, _ = protocol_table(network(), split, THREAT, {"wild": WILD}, seed=3)
    stream = generator("cpu", 3, "claimed", "wild", 0)
    outcome = run_protocol(
        network(), split.floats(), split.labels, THREAT, WILD.scaled(0.1), stream
    )
    assert table.claimed_wild.tolist() == outcome.robust_last.tolist()
    assert table.claimed_wild_any_iterate.tolist() == outcome.robust_any.tolist()
    assert 0 < table.claimed_wild_any_iterate.sum() < table.claimed_wild.sum() < 40


def test_what_selection_watches_is_what_the_evaluation_calls_claimed(split):
    """At the study's eps, by the authors' count, which is not that of every iterate."""
    table, _ = protocol_table(network(), split, THREAT, {"wild": WILD}, seed=3)
    found = claimed_outcomes(network(), split, THREAT, WILD, (3, "claimed", "wild"))
    assert found.tolist() == table.claimed_wild.tolist()


def test_whoever_is_robust_at_every_iterate_is_robust_at_the_last(split):
    table, _ = protocol_table(network(), split, THREAT, {"weak": WEAK, "strong": STRONG}, seed=0)
    for name in ("weak", "strong"):
        assert (table[f"claimed_{name}"] | ~table[f"claimed_{name}_any_iterate"]).all()


def test_a_protocols_verdicts_do_not_depend_on_the_other_protocols(split):
    alone, _ = protocol_table(network(), split, THREAT, {"strong": STRONG}, seed=0)
    among, _ = protocol_table(network(), split, THREAT, {"weak": WEAK, "strong": STRONG}, seed=0)
    pd.testing.assert_frame_equal(alone, among[alone.columns])


def test_the_rows_of_both_tables_are_the_samples_of_the_split_in_order(split, monkeypatch):
    monkeypatch.setattr(claimed, "BATCH", 7)
    never = Protocol("a test", 1e-9, 1e-9, 1)
    table, _ = protocol_table(network(), split, THREAT, {"never": never}, seed=0)
    assert table.claimed_never.tolist() == clean_table(network(), split).correct.tolist()


def test_evaluation_leaves_the_network_as_it_was(split):
    model = network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    clean_table(model, split)
    protocol_table(model, split, THREAT, {"weak": WEAK}, seed=0)
    assert not any(module.training for module in model.modules())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_each_switch_has_a_column_of_its_own_outcomes(split):
    """As many rows and steps as claimed, the mechanism alone differs; the draws are the same."""
    table, seconds = protocol_table(network(), split, THREAT, {"weak": WEAK}, seed=5)
    claimed_weak = WEAK.scaled(0.1)
    for name, protocol in switched(claimed_weak, 0.1).items():
        stream = generator("cpu", 5, "claimed", "weak", 0)
        outcome = run_protocol(network(), split.floats(), split.labels, THREAT, protocol, stream)
        assert table[f"claimed_weak_{name}"].tolist() == outcome.robust_last.tolist(), name
    switches = {"eps", "restarts", "steps", "loss", "train_mode"}
    columns = {"claimed_weak", *(f"claimed_weak_{name}" for name in ("any_iterate", *switches))}
    assert set(table) == columns  # one step has no iterate but the last
    assert seconds["weak"].keys() == {"claimed", *switches}
    assert all(value > 0 for value in seconds["weak"].values())


def test_a_start_more_never_lets_a_sample_be_robust_again(split):
    table, _ = protocol_table(network(), split, THREAT, {"wild": WILD}, seed=0)
    assert not (table.claimed_wild_restarts & ~table.claimed_wild).any()
    assert table.claimed_wild_restarts.sum() < table.claimed_wild.sum()
    assert table.claimed_wild_last.tolist() == table.claimed_wild_any_iterate.tolist()


def test_how_many_draws_an_earlier_batch_took_does_not_show(split, monkeypatch):
    monkeypatch.setattr(claimed, "BATCH", 7)
    whole, _ = protocol_table(network(), split, THREAT, {"wild": WILD}, seed=0)
    assert not (whole.claimed_wild_restarts & ~whole.claimed_wild).any()


def test_metrics_give_the_points_of_every_switch(split):
    table, _ = protocol_table(network(), split, THREAT, {"wild": WILD}, seed=0)
    samples = pd.concat([clean_table(network(), split), table], axis=1).assign(robust=False)
    points = metrics(samples, ["wild"])["claimed"]["wild"]["switch_points"]
    switches = {"eps", "steps", "restarts", "loss", "last", "train_mode"}
    assert points.keys() == switches
    for name in switches:
        lost = table.claimed_wild.sum() - table[f"claimed_wild_{name}"].sum()
        assert points[name] == pytest.approx(100 * lost / 40)

"""A real training that overfits catastrophically is noticed, and what it ends with is not of it."""

from dataclasses import replace

import pandas as pd
import pytest
import torch
from sklearn.datasets import load_digits

from thin_ice.attacks.threat import ThreatModel
from thin_ice.catastrophe import catastrophic_epoch
from thin_ice.checkpoint import Checkpoint
from thin_ice.commands.training import write_history
from thin_ice.data.split import Split
from thin_ice.evaluation.overfitting import overfitting_table
from thin_ice.evaluation.summary import NETWORK
from thin_ice.models.network import Architecture
from thin_ice.objectives.free_at import FreeAt
from thin_ice.objectives.n_fgsm import NFgsm
from thin_ice.objectives.pgd_at import PgdAt
from thin_ice.training.fit import fit
from thin_ice.training.hooks import Hooks
from thin_ice.training.plan import Plan
from thin_ice.training.validation import validate

EPS = ThreatModel("Linf", 0.3)
PLAN = Plan(batch_size=32, weight_decay=0.0, schedule="constant")


def digits(first, last):
    bunch = load_digits()
    images = torch.tensor(bunch.images[first:last] / 16 * 255).round().to(torch.uint8)[:, None]
    labels = torch.tensor(bunch.target[first:last], dtype=torch.int64)
    return Split(images, labels, torch.arange(last - first))


def test_fgsm_ruins_a_robust_network_and_training_says_so(setting, tmp_path, messages):
    """Trained with PGD, then with a single step without noise whose rate rises from 0: accuracy
    under PGD falls by half and more, under FGSM it does not.
    """
    model = Architecture("digits_cnn", {"width": 8}, (1, 8, 8), 10, False).build(0)
    first = Plan(epochs=20, lr=0.1, batch_size=32, weight_decay=0.0, validate_every=20)
    chosen = replace(
        setting(PgdAt(steps=5), stream=(0, "x")),
        train=digits(0, 600),
        validation=digits(1000, 1300),
        threat=EPS,
        plan=first,
    )
    fit(model, chosen, Hooks(), Checkpoint(tmp_path / "first", "job"))
    second = replace(PLAN, epochs=3, lr=0.06, warmup=1.0)
    chosen = replace(chosen, objective=NFgsm(noise=0.0), plan=second)
    history = fit(model, chosen, Hooks(), Checkpoint(tmp_path / "second", "job"))
    epoch = catastrophic_epoch(history)
    assert epoch in (2, 3)
    (said,) = (line for line in messages() if "catastrophic overfitting" in line)
    assert f"in epoch {epoch}:" in said
    fallen = history[epoch - 1]
    assert fallen["validation_single_step"] > 2 * fallen["validation_robust"]
    assert validate(model, chosen)["validation_robust"] == history[0]["validation_robust"] > 0.4
    write_history(tmp_path / "history.csv", history)
    table = overfitting_table(
        [dict.fromkeys(NETWORK, "x")], ["finetune"], [pd.read_csv(tmp_path / "history.csv")], 300
    )
    assert table.catastrophic_epoch.item() == epoch


@pytest.mark.parametrize("objective", [NFgsm(), FreeAt(replays=2)])
def test_a_sound_training_raises_no_alarm(build, setting, tmp_path, messages, objective):
    chosen = replace(
        setting(objective),
        train=digits(0, 600),
        validation=digits(1000, 1300),
        threat=ThreatModel("Linf", 0.1),
        plan=replace(PLAN, epochs=6, lr=0.05),
    )
    history = fit(build(0), chosen, Hooks(), Checkpoint(tmp_path / "checkpoint", "job"))
    assert history[-1]["validation_robust"] > 0.4
    assert all("validation_single_step" in row for row in history)
    assert catastrophic_epoch(history) is None
    assert not any("catastrophic" in line for line in messages())

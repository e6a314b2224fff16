"""The fast path trains what the plain path trains: in float32 within rounding, in bfloat16 within
what another seed changes.
"""

from dataclasses import replace
from statistics import mean, stdev

import pytest
import torch
from splits import digits
from torch import nn

from thin_ice.attacks.fast import AS_THEY_ARE, Views
from thin_ice.attacks.threat import ThreatModel
from thin_ice.checkpoint import Checkpoint
from thin_ice.data.split import Split
from thin_ice.evaluation.recheck import recheck
from thin_ice.models.network import Architecture
from thin_ice.objectives.mart import Mart
from thin_ice.objectives.pgd_at import PgdAt
from thin_ice.objectives.trades import Trades
from thin_ice.sparsity.parametrizations import TopKScore
from thin_ice.speed import Speed
from thin_ice.training.fit import fit
from thin_ice.training.hooks import Hooks
from thin_ice.training.plan import Plan
from thin_ice.training.setting import Setting

EVERY = (Speed(), Speed(channels_last=True))


def trained(model, setting, tmp_path, views):
    """Weights and statistics after the setting's steps, and the history."""
    path = tmp_path / f"{id(views)}"
    history = fit(model, replace(setting, views=views), Hooks(), Checkpoint(path, "job"))
    return model.state_dict(), history


class Doubled(nn.Module):
    """A network in float64: its rounding turns no sign of a gradient, on which PGD steps depend."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.double()

    def forward(self, images):
        return self.network(images.double())


def with_scores(model: nn.Module) -> nn.Module:
    """As HYDRA prunes it: the mask of a layer follows from scores that are trained."""
    conv = model.block2.conv
    scores = torch.rand(conv.weight.shape, generator=torch.Generator().manual_seed(7))
    nn.utils.parametrize.register_parametrization(
        conv, "weight", TopKScore(scores, conv.weight.numel() // 2)
    )
    return model


def assert_trained_alike(make, setting, tmp_path, speed, tolerance):
    """``tolerance``: a share of what nine steps moved in a tensor."""
    begin = make().state_dict()
    plain, before = trained(make(), setting, tmp_path, AS_THEY_ARE)
    fast, after = trained(make(), setting, tmp_path, Views(speed))
    for name, value in plain.items():
        if value.is_floating_point():
            moved = float((value - begin[name]).abs().max())
            torch.testing.assert_close(fast[name], value, rtol=0, atol=tolerance * moved)
    assert [row["train_accuracy"] for row in after] == [row["train_accuracy"] for row in before]


@pytest.mark.parametrize("speed", EVERY, ids=["folded", "channels_last"])
@pytest.mark.parametrize("dress", [lambda model: model, with_scores], ids=["plain", "scores"])
@pytest.mark.parametrize("objective", [PgdAt(), Trades(), Mart()], ids=["pgd_at", "trades", "mart"])
def test_the_same_seed_gives_the_same_network(build, setting, tmp_path, objective, dress, speed):
    chosen = setting(objective, lr=0.05, select="last")
    assert_trained_alike(lambda: Doubled(dress(build(0))), chosen, tmp_path, speed, 1e-6)


@pytest.mark.parametrize("speed", EVERY, ids=["folded", "channels_last"])
def test_in_float32_too_within_its_rounding(build, setting, tmp_path, speed):
    chosen = setting(PgdAt(), lr=0.05, select="last")
    assert_trained_alike(lambda: build(0), chosen, tmp_path, speed, 1e-3)


def test_the_adversary_sees_the_fast_view(build, setting, tmp_path, monkeypatch):
    """And it alone: what is trained on goes through the network itself."""
    seen = []
    views = Views(Speed())
    of = views.of
    monkeypatch.setattr(views, "of", lambda model: seen.append(model.training) or of(model))
    trained(build(0), setting(PgdAt(), epochs=1), tmp_path, views)
    assert seen == [False] * 4  # three steps and a validation


def accuracies(splits: dict[str, Split], seed: int, precision: str, tmp_path) -> tuple:
    """Clean accuracy on test and that under PGD, both in float32 on the network itself."""
    model = Architecture("digits_cnn", {"width": 8}, (1, 8, 8), 10, normalize=False).build(seed)
    threat, objective = ThreatModel("Linf", 0.15), PgdAt(steps=5, rel_step=0.4)
    plan = {"epochs": 12, "batch_size": 64, "lr": 0.05, "select": "last", "validate_every": 12}
    setting = Setting(
        train=splits["train"],
        validation=splits["validation"].head(20),
        objective=objective,
        threat=threat,
        plan=Plan(precision=precision, **plan),
        stream=(seed, "half"),
        views=Views(Speed(channels_last=precision == "bfloat16")),
    )
    fit(model, setting, Hooks(), Checkpoint(tmp_path / f"{precision}{seed}", "job"))
    model.eval()
    images, labels = splits["test"].floats(), splits["test"].labels
    step = replace(setting, views=AS_THEY_ARE).step("test", progress=1.0)
    attacked = PgdAt().perturb(model, images, labels, step)
    found = recheck(model, images, labels, attacked, threat, 500)
    with torch.no_grad():
        clean = float((model(images).argmax(1) == labels).float().mean())
    return clean, float((~found.wrong).float().mean())


@pytest.mark.heavy
def test_in_bfloat16_accuracies_are_those_of_float32_within_the_noise_of_seeds(tmp_path):
    """Five seeds each; the means differ by no more than two standard errors of their difference,
    and by no more than two points.
    """
    splits, seeds = digits(), range(5)
    full = [accuracies(splits, seed, "float32", tmp_path) for seed in seeds]
    half = [accuracies(splits, seed, "bfloat16", tmp_path) for seed in seeds]
    for place, name in enumerate(("clean", "pgd")):
        exact, coarse = ([run[place] for run in runs] for runs in (full, half))
        error = ((stdev(exact) ** 2 + stdev(coarse) ** 2) / len(seeds)) ** 0.5
        assert exact != coarse  # it is another computation
        assert abs(mean(exact) - mean(coarse)) <= max(2 * error, 0.005), (name, exact, coarse)
        assert abs(mean(exact) - mean(coarse)) <= 0.02, (name, exact, coarse)

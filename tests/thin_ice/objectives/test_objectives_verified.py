"""Objectives with verified robustness: ramps and losses at given moments, by hand."""

import copy
import dataclasses

import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

from thin_ice import tables
from thin_ice.attacks.threat import ThreatModel
from thin_ice.checkpoint import Checkpoint
from thin_ice.data.split import Split
from thin_ice.objectives.crown_ibp import CrownIbp
from thin_ice.objectives.ibp import Ibp
from thin_ice.objectives.mixtrain import Mixtrain
from thin_ice.objectives.verified import ramp_share, worst_case_cross_entropy
from thin_ice.training.fit import fit
from thin_ice.training.hooks import Hooks
from thin_ice.training.validation import validate
from thin_ice.verification import margins
from thin_ice.verification.margins import Margins

EPS = 0.1


@pytest.fixture
def moment(step):
    """A step at a progress, on the ball of radius 0.1."""

    def at(progress, pretrained=False, eps=EPS, seed=0):
        threat = ThreatModel("Linf", eps)
        return dataclasses.replace(
            step(seed=seed), threat=threat, progress=progress, pretrained=pretrained
        )

    return at


def tiny():
    """One pixel x, hidden (relu(x), relu(x - 0.5)), logits (h1 - h2, 2 h2)."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 2))
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[1.0], [1.0]]))
        model[1].bias.copy_(torch.tensor([0.0, -0.5]))
        model[3].weight.copy_(torch.tensor([[1.0, -1.0], [0.0, 2.0]]))
        model[3].bias.zero_()
    return model


PIXEL = torch.tensor([[[[0.5]]]])
ZERO = torch.tensor([0])  # the label; its margin h1 - 3 h2 is 0.5 at x = 0.5


def cross_entropy(margin):
    """Of two classes, the label's logit being larger by the margin."""
    return F.softplus(torch.tensor(-margin))


def tiny_ibp(eps):
    """h1 is 0.5 - eps at least, h2 eps at most."""
    return 0.5 - eps - 3 * eps


def tiny_crown(eps):
    """h2 in [-eps, eps] is below (x - 0.5 + eps) / 2: h1 - 3 h2 >= x - 1.5 (x - 0.5 + eps), which
    falls in x: at x = 0.5 + eps it is 0.5 + eps - 3 eps.
    """
    return 0.5 + eps - 3 * eps


def test_the_worst_case_cross_entropy_is_of_the_margins_lower_bounds():
    lower = torch.tensor([[0.0, 2.0, -1.0], [0.5, 1.5, 0.0]])
    by_hand = [
        (1 + torch.exp(torch.tensor(-2.0)) + torch.exp(torch.tensor(1.0))).log(),
        (torch.exp(torch.tensor(-0.5)) + torch.exp(torch.tensor(-1.5)) + 1).log(),
    ]
    found = worst_case_cross_entropy(lower, torch.tensor([0, 2]))
    torch.testing.assert_close(found, sum(by_hand) / 2)


RAMPS = [  # progress, pretrained, ramp_again, share
    (0.0, False, False, 0.0),
    (0.2, False, False, 0.0),
    (0.3, False, False, 0.25),
    (0.5, False, False, 0.75),
    (0.6, False, False, 1.0),
    (1.0, False, False, 1.0),
    (0.0, True, False, 1.0),
    (0.3, True, False, 1.0),
    (0.3, True, True, 0.25),
    (0.0, True, True, 0.0),
]


@pytest.mark.parametrize(("progress", "pretrained", "again", "share"), RAMPS)
@pytest.mark.parametrize("kind", [Ibp, CrownIbp, Mixtrain])
def test_a_ramp_rises_after_the_warmup_and_only_where_nothing_was_trained(
    moment, kind, progress, pretrained, again, share
):
    objective = kind(warmup=0.2, ramp=0.4, ramp_again=again)
    assert ramp_share(objective, moment(progress, pretrained)) == pytest.approx(share)


@pytest.mark.parametrize(("progress", "share"), [(0.0, 0.0), (0.29, 0.0), (0.3, 1.0), (1.0, 1.0)])
def test_a_ramp_of_no_length_is_a_step(moment, progress, share):
    assert ramp_share(Ibp(warmup=0.3, ramp=0.0), moment(progress)) == share
    assert ramp_share(Ibp(warmup=0.0, ramp=0.0), moment(progress)) == 1.0


@pytest.mark.parametrize(("progress", "share"), [(0.0, 0.0), (0.25, 0.5), (0.5, 1.0), (0.9, 1.0)])
def test_ibp_mixes_clean_and_worst_case_loss_as_the_ramp_stands(moment, progress, share):
    objective = Ibp(warmup=0.0, ramp=0.5, kappa_start=0.9, kappa_end=0.3)
    kappa = 0.9 - 0.6 * share
    worst = cross_entropy(tiny_ibp(share * EPS))
    expected = kappa * cross_entropy(0.5) + (1 - kappa) * worst
    found = objective.loss(tiny(), PIXEL, ZERO, moment(progress))
    torch.testing.assert_close(found.value, expected)
    assert int(found.correct) == 1


@pytest.mark.parametrize("beta_end", [0.0, 0.4, 1.0])
@pytest.mark.parametrize(("progress", "share"), [(0.0, 0.0), (0.25, 0.5), (0.5, 1.0), (0.9, 1.0)])
def test_crown_ibp_anneals_from_linear_bounds_to_intervals(moment, progress, share, beta_end):
    beta = 1 - share * (1 - beta_end)
    margin = beta * tiny_crown(share * EPS) + (1 - beta) * tiny_ibp(share * EPS)
    objective = CrownIbp(ramp=0.5, beta_end=beta_end)
    found = objective.loss(tiny(), PIXEL, ZERO, moment(progress))
    torch.testing.assert_close(found.value, cross_entropy(margin))
    mixed = CrownIbp(ramp=0.5, beta_end=beta_end, kappa_start=0.2, kappa_end=0.2)
    value = mixed.loss(tiny(), PIXEL, ZERO, moment(progress)).value
    torch.testing.assert_close(
        value, 0.2 * cross_entropy(0.5) + 0.8 * cross_entropy(margin), rtol=1e-5, atol=1e-6
    )


def asked_for(monkeypatch, run):
    """The methods of bounds that are computed while something runs."""
    asked, original = [], Margins.lower

    def noting(self, method):
        asked.append(method)
        return original(self, method)

    monkeypatch.setattr(margins.Margins, "lower", noting)
    run()
    return asked


PAID = [  # objective, progress, what is computed
    (CrownIbp(ramp=0.5), 0.0, []),
    (CrownIbp(ramp=0.5), 0.25, ["crown_ibp", "ibp"]),
    (CrownIbp(ramp=0.5), 0.5, ["ibp"]),
    (CrownIbp(ramp=0.5, beta_end=1.0), 0.5, ["crown_ibp"]),
    (Ibp(), 0.04, []),
    (Ibp(), 0.06, ["ibp"]),
    (Ibp(kappa_end=1.0), 0.9, []),
    (Mixtrain(), 0.0, []),
    (Mixtrain(), 0.1, ["crown_ibp"]),
]


@pytest.mark.parametrize(("objective", "progress", "methods"), PAID)
def test_bounds_without_weight_are_not_computed(monkeypatch, moment, objective, progress, methods):
    found = asked_for(
        monkeypatch, lambda: objective.loss(tiny(), PIXEL, ZERO, moment(progress)).value
    )
    assert sorted(found) == methods


@pytest.mark.parametrize("kind", [Ibp, CrownIbp, Mixtrain])
def test_an_objective_s_own_radius_goes_before_the_study_s(moment, kind, network, images, labels):
    def value(objective, eps):
        found = objective.loss(copy.deepcopy(network), images, labels, moment(0.9, eps=eps))
        return found.value.item()

    assert value(kind(eps=0.02), 0.1) == value(kind(), 0.02)
    assert value(kind(), 0.1) != value(kind(), 0.02)


def test_an_objective_s_own_radius_is_not_that_of_the_adversary_it_lends(
    moment, network, images, labels
):
    attacked = Ibp(eps=0.02).perturb(network, images, labels, moment(0.9))
    assert (attacked - images).abs().max() == pytest.approx(EPS, abs=1e-6)


WEIGHTS = [  # progress, pretrained, weight
    (0.0, False, 0.1),
    (10 / 60, False, 0.1),
    (15 / 60, False, 0.1 * 2.5),
    (20 / 60, False, 0.1 * 2.5**2),
    (17.5 / 60, False, 0.1 * 2.5**1.5),
    (0.9, False, 50.0),
    (0.0, True, 50.0),
]


@pytest.mark.parametrize(("progress", "pretrained", "weight"), WEIGHTS)
def test_mixtrain_s_weight_grows_after_the_ramp_up_to_its_cap(moment, progress, pretrained, weight):
    assert Mixtrain().weight_at(moment(progress, pretrained)) == pytest.approx(weight)
    again = Mixtrain(ramp_again=True).weight_at(moment(progress, True))
    assert again == pytest.approx(Mixtrain().weight_at(moment(progress, False)))


def test_mixtrain_adds_the_worst_case_of_the_images_that_it_draws(moment, network, images, labels):
    objective = Mixtrain(samples=3, probability=1.0, ramp=0.5, weight=0.7)
    found = objective.loss(copy.deepcopy(network), images, labels, moment(0.25, seed=5)).value
    stream = torch.Generator().manual_seed(5)
    torch.rand((), generator=stream)
    few = torch.randperm(12, generator=stream)[:3]
    clean = F.cross_entropy(network(images), labels)
    threat = ThreatModel("Linf", EPS / 2)
    lower = Margins(network.eval(), images[few], labels[few], threat).lower("crown_ibp")
    torch.testing.assert_close(found, clean + 0.7 * F.cross_entropy(-lower, labels[few]))


def test_mixtrain_takes_the_worst_case_in_its_share_of_batches(moment):
    objective = Mixtrain(probability=0.7, weight=1.0)
    clean = cross_entropy(0.5)
    values = [
        objective.loss(tiny(), PIXEL, ZERO, moment(0.1, seed=seed)).value for seed in range(200)
    ]
    taken = sum(not torch.isclose(value, clean) for value in values)
    assert 0.7 * 200 - 4 * 6.5 < taken < 0.7 * 200 + 4 * 6.5


def test_mixtrain_s_adversary_attacks_the_clean_loss_on_its_own_ball(
    moment, network, images, labels
):
    objective = Mixtrain(steps=5, probability=0.0, eps=0.05)
    attacked = objective.loss(copy.deepcopy(network), images, labels, moment(0.5)).value
    as_pgd = tables.load("objectives", "pgd_at")(steps=5)
    other = as_pgd.loss(copy.deepcopy(network), images, labels, moment(0.5, eps=0.05)).value
    torch.testing.assert_close(attacked, other)


def test_worst_case_losses_bound_those_of_any_attack(moment, network, images, labels):
    network.eval()
    attacked = Ibp().perturb(network, images, labels, moment(1.0))
    under_attack = F.cross_entropy(network(attacked), labels)
    for objective in (Ibp(kappa_end=0.0), CrownIbp(beta_end=1.0), CrownIbp()):
        assert objective.loss(network, images, labels, moment(1.0)).value > under_attack


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        (Ibp(), {"warmup": 5 / 100, "ramp": 50 / 100, "kappa_start": 1, "kappa_end": 0.5}),
        (CrownIbp(), {"warmup": 0, "ramp": 60 / 100, "kappa_end": 0, "beta_end": 0}),
        (Mixtrain(), {"samples": 5, "probability": 0.8, "weight_end": 50, "ramp": 10 / 60}),
    ],
)
def test_defaults_are_the_published_ones(objective, expected):
    assert {name: getattr(objective, name) for name in expected} == expected
    assert objective.eps is None
    assert not objective.ramp_again


def digits(first, last):
    bunch = load_digits()
    images = torch.tensor(bunch.images[first:last] / 16 * 255).round().to(torch.uint8)[:, None]
    labels = torch.tensor(bunch.target[first:last], dtype=torch.int64)
    return Split(images, labels, torch.arange(last - first))


def test_training_by_intervals_makes_digits_verifiable(build, setting, tmp_path):
    plan = {"epochs": 8, "batch_size": 32, "optimizer": "adam", "lr": 0.004, "weight_decay": 0.0}
    chosen = dataclasses.replace(
        setting(Ibp(), validate_every=8, **plan),
        train=digits(0, 1000),
        validation=digits(1000, 1300),
        threat=ThreatModel("Linf", 0.05),
    )
    natural = dataclasses.replace(chosen, objective=tables.load("objectives", "natural")())
    found = []
    for how in (natural, chosen):
        model = build(0)
        fit(model, how, Hooks(), Checkpoint(tmp_path / how.objective.goal, "job"))
        found.append(validate(model, chosen))
    plain, verifiable = found
    assert plain["validation_clean"] > 0.85
    assert plain["validation_robust"] < 0.05
    assert verifiable["validation_robust"] > 0.5

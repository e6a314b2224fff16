"""Published protocols: their numbers, and what a run of them reports."""

import math
from dataclasses import asdict

import pytest
import torch
from pyautoattack.autopgd_base import APGDAttack
from torch import nn

from thin_ice.attacks.claimed import run_protocol
from thin_ice.attacks.losses import LOSSES
from thin_ice.attacks.protocol import Protocol
from thin_ice.attacks.protocols import PROTOCOLS
from thin_ice.attacks.threat import ThreatModel

PUBLISHED = {  # eps, step size, steps, restarts, start, mode, loss, attack
    "hydra_pgd10": (0.031, 0.0078, 10, 1, "uniform", "eval", "ce", "pgd"),
    "hydra_pgd50": (0.031, 0.0078, 50, 1, "uniform", "eval", "ce", "pgd"),
    "pwoa_pgd10": (8 / 255, 2 / 255, 10, 1, "uniform", "eval", "ce", "pgd"),
    "radmm_pgd10": (8 / 255, 2 / 255, 10, 1, "uniform", "eval", "ce", "pgd"),
    "bcsp_pgd50": (8 / 255, 2.5 * 8 / 255 / 50, 50, 10, "uniform", "eval", "ce", "pgd"),
    "harp_fgsm": (0.031, 0.031, 1, 1, "clean", "eval", "ce", "pgd"),
    "harp_pgd10": (0.031, 0.0078, 10, 1, "uniform", "eval", "ce", "pgd"),
    "harp_cw20": (0.031, 0.0078, 20, 1, "uniform", "eval", "cw", "pgd"),
    "harp_apgd50": (0.031, 0.062, 50, 5, "uniform", "eval", "ce", "apgd"),
    "mad_pgd30": (0.03, 0.0023, 30, 1, "uniform", "eval", "ce", "pgd"),
    "flyingbird_pgd20": (8 / 255, 2 / 255, 20, 1, "uniform", "eval", "ce", "pgd"),
    "twinrep_pgd20": (0.031, 0.0078, 20, 1, "uniform", "eval", "ce", "pgd"),
    "li20_pgd100": (8 / 255, 2 / 255, 100, 1, "uniform", "eval", "ce", "pgd"),
    "lottery_pgd10": (8 / 255, 2 / 255, 10, 1, "uniform", "eval", "ce", "pgd"),
    "rst_pgd7": (8 / 255, 10 / 255, 7, 1, "uniform", "eval", "ce", "pgd"),
    "sehwag19": (0.031, 0.0078, 10, 1, "uniform", "eval", "ce", "pgd"),
}
FIELDS = ("eps", "step_size", "steps", "restarts", "start", "mode", "loss", "attack")


def numbers(protocol):
    fields = asdict(protocol)
    return tuple(fields[name] for name in FIELDS)


def test_every_protocol_has_its_published_values():
    assert PROTOCOLS.keys() == PUBLISHED.keys()
    for name, protocol in PROTOCOLS.items():
        assert numbers(protocol) == pytest.approx(PUBLISHED[name]), name
        assert "20" in protocol.source, f"{name} names no paper with its year"


def test_a_protocol_that_is_not_public_says_what_stands_in_for_it():
    assert "stands in for it" in PROTOCOLS["sehwag19"].source


@pytest.mark.parametrize("name", PROTOCOLS)
def test_at_eight_over_255_a_protocol_is_exactly_the_published_one(name):
    assert PROTOCOLS[name].scaled(8 / 255) == PROTOCOLS[name]


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("factor", [0.5, 2, 4])
def test_eps_and_step_size_scale_linearly_and_nothing_else_does(name, factor):
    published, scaled = PROTOCOLS[name], PROTOCOLS[name].scaled(factor * 8 / 255)
    assert scaled.eps == pytest.approx(factor * published.eps)
    assert scaled.step_size == pytest.approx(factor * published.step_size)
    assert numbers(scaled)[2:] == numbers(published)[2:]
    assert scaled.source == published.source


def run(model, split, protocol, seed=0):
    return run_protocol(
        model,
        split.floats(),
        split.labels,
        ThreatModel("Linf", protocol.eps),
        protocol,
        torch.Generator().manual_seed(seed),
    )


def attack(**changes):
    """Coarse steps, so that iterates jump in and out of the wrong class."""
    fields = {"eps": 0.2, "step_size": 0.3, "steps": 4, "restarts": 1}
    return Protocol("a test", **fields | changes)


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_right_at_every_iterate_implies_right_at_the_last(trained, digits, mode):
    found = run(trained, digits["test"].head(200), attack(mode=mode, restarts=2))
    assert not (found.robust_any & ~found.robust_last).any()
    assert 0 < found.robust_any.sum() < found.robust_last.sum() < 200


def test_restarts_only_lower_robustness(trained, digits):
    split = digits["test"].head(200)
    once, thrice = (run(trained, split, attack(restarts=n)) for n in (1, 3))
    assert not (thrice.robust_last & ~once.robust_last).any()
    assert not (thrice.robust_any & ~once.robust_any).any()
    assert thrice.robust_any.sum() < once.robust_any.sum()


def test_the_protocol_s_own_eps_is_used_in_the_study_s_norm(trained, digits):
    split = digits["test"].head(100)
    threat = ThreatModel("Linf", 0.9)
    arguments = split.floats(), split.labels, threat
    weak = attack(eps=1e-4, step_size=1e-4)
    found = run_protocol(trained, *arguments, weak, torch.Generator())
    with torch.no_grad():
        assert torch.equal(found.robust_last, trained(split.floats()).argmax(1) == split.labels)


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_the_network_is_attacked_in_the_protocol_s_mode(trained, digits, mode):
    seen = []
    hook = trained.block2.bn.register_forward_hook(lambda bn, *_: seen.append(bn.training))
    run(trained, digits["test"].head(20), attack(mode=mode))
    hook.remove()
    assert (
        seen == [mode == "train"] * 5
    )  # four gradients that are verdicts too, and the last verdict


def test_the_network_is_left_as_it_was(trained, digits):
    before = {name: tensor.clone() for name, tensor in trained.state_dict().items()}
    run(trained, digits["test"].head(20), attack(mode="train"))
    assert all(torch.equal(t, before[name]) for name, t in trained.state_dict().items())
    assert not trained.training


class NarrowWindow(nn.Module):
    """Class 1 wins only for a pixel in a narrow window, which a large step jumps over."""

    def __init__(self, centre, width):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(()))
        self.centre, self.width = centre, width

    def forward(self, images):
        pixel = images.flatten(1).squeeze(1)
        inside = 1 - ((pixel - self.centre) / self.width).square() + self.bias
        return torch.stack([torch.zeros_like(inside), inside], 1)


def test_a_silent_success_is_robust_at_the_last_iterate_and_not_at_every_one():
    # From 0.5 in steps of 0.1: 0.6 (class 1 by 1 - 0.16), 0.7 (class 0), 0.6, 0.7.
    model = NarrowWindow(centre=0.62, width=0.05)
    image, label = torch.full((1, 1, 1, 1), 0.5), torch.tensor([0])
    outcomes = {}
    for steps in (4, 5):
        protocol = attack(eps=0.2, step_size=0.1, steps=steps, start="clean")
        found = run_protocol(
            model, image, label, ThreatModel("Linf", math.nan), protocol, torch.Generator()
        )
        outcomes[steps] = (bool(found.robust_last), bool(found.robust_any))
    assert outcomes == {4: (True, False), 5: (False, False)}


def test_a_start_that_fools_is_no_iterate():
    # At 0.6 class 1 wins; the one step goes on to 0.7, where class 0 does.
    model = NarrowWindow(centre=0.62, width=0.05)
    image, label = torch.full((1, 1, 1, 1), 0.6), torch.tensor([0])
    protocol = attack(eps=0.2, step_size=0.1, steps=1, start="clean")
    found = run_protocol(model, image, label, ThreatModel("Linf", 0.2), protocol, torch.Generator())
    assert (bool(found.robust_last), bool(found.robust_any)) == (True, True)


def plain_losses(logits, label):
    """One sample's losses from the definitions, in plain Python."""
    z = [float(value) for value in logits]
    high = sorted(z, reverse=True)
    other = max(value for index, value in enumerate(z) if index != label)
    return {
        "ce": math.log(sum(math.exp(value) for value in z)) - z[label],
        "cw": other - z[label],
        "dlr": (other - z[label]) / (high[0] - high[2]),
    }


def test_losses_are_their_formulas():
    logits = torch.randn(20, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.arange(20) % 10
    for name, loss in LOSSES.items():
        expected = [plain_losses(z, int(y))[name] for z, y in zip(logits, labels, strict=True)]
        assert loss(logits, labels).tolist() == pytest.approx(expected), name


def test_a_protocol_increases_its_own_loss(trained, digits):
    """A network without a gradient of the cross-entropy still has one of the margin."""

    class Saturated(nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, images):
            return 1e5 * self.model(images)

    split = digits["test"].head(100)
    right = trained(split.floats()).argmax(1) == split.labels
    found = {
        loss: run(Saturated(trained), split, attack(eps=0.2, step_size=0.06, loss=loss))
        for loss in LOSSES
    }
    assert found["ce"].robust_last.sum() > 0.9 * right.sum()
    for loss in ("cw", "dlr"):
        assert found[loss].robust_last.sum() < 0.6 * right.sum()


@pytest.mark.parametrize("loss", ["ce", "dlr"])
@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_apgd_gives_the_verdicts_of_the_package_called_directly(trained, digits, loss, norm):
    split, eps = digits["test"].head(100), {"Linf": 0.1, "L2": 0.6}[norm]
    protocol = attack(attack="apgd", eps=eps, steps=8, restarts=2, loss=loss)
    images, labels, threat = split.floats(), split.labels, ThreatModel(norm, eps)
    state = torch.random.get_rng_state()
    found = run_protocol(
        trained, images, labels, threat, protocol, torch.Generator().manual_seed(7)
    )
    assert torch.equal(torch.random.get_rng_state(), state)
    package = APGDAttack(
        trained, n_iter=8, norm=norm, n_restarts=2, eps=eps, seed=7, loss=loss, device="cpu"
    )
    attacked = package.perturb(images, labels)
    torch.random.set_rng_state(state)
    expected = trained(attacked).argmax(1) == labels
    assert torch.equal(found.robust_last, expected)
    assert torch.equal(found.robust_any, expected)
    assert 0 < expected.sum() < 100

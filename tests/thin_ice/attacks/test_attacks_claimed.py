"""Published protocols: their numbers, and what a run of them reports."""

import math
from dataclasses import asdict

import pytest
import torch
from torch import nn

from thin_ice.attacks.claimed import run_protocol
from thin_ice.attacks.protocol import Protocol
from thin_ice.attacks.protocols import PROTOCOLS
from thin_ice.attacks.threat import ThreatModel

PUBLISHED = {  # eps, step size, steps, restarts, start, mode
    "hydra_pgd10": (0.031, 0.0078, 10, 1, "uniform", "eval"),
    "hydra_pgd50": (0.031, 0.0078, 50, 1, "uniform", "eval"),
    "radmm_pgd10": (8 / 255, 2 / 255, 10, 1, "uniform", "eval"),
    "bcsp_pgd50": (8 / 255, 2.5 * 8 / 255 / 50, 50, 10, "uniform", "eval"),
}


def numbers(protocol):
    fields = asdict(protocol)
    return tuple(fields[k] for k in ("eps", "step_size", "steps", "restarts", "start", "mode"))


def test_every_protocol_has_its_published_values():
    assert {name: numbers(protocol) for name, protocol in PROTOCOLS.items()} == PUBLISHED


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
    assert seen == [mode == "train"] * 8  # four gradients, four verdicts


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

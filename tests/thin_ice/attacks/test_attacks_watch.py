"""What is seen of an attack is what it did, and it does nothing else for being watched."""

import pytest
import torch
from planted import Detached, Hard, Refusing, Saturated
from pyautoattack.autopgd_base import APGDAttack
from torch import nn

from thin_ice.attacks import attempts
from thin_ice.attacks.attempts import (
    Attempt,
    Case,
    apgd_attack,
    late_gain,
    protocol_attack,
    together,
)
from thin_ice.attacks.claimed import run_protocol
from thin_ice.attacks.losses import cross_entropy
from thin_ice.attacks.protocol import Protocol
from thin_ice.attacks.threat import ThreatModel
from thin_ice.attacks.watch import Watched, gradients_interrupted
from thin_ice.randomness import generator, seed_from

EPS = 0.2
THREAT = ThreatModel("Linf", EPS)


@pytest.fixture
def case(trained, digits):
    test = digits["test"].head(200)
    images, labels = test.floats(), test.labels
    with torch.no_grad():
        right = trained(images).argmax(1) == labels
    return Case(trained, trained, images[right], labels[right], THREAT)


class Half(nn.Module):
    """Takes no gradient from the right half of an image."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, images):
        return self.network(torch.cat([images[..., :4], images[..., 4:].detach()], 3))


def coarse(**changes):
    """Coarse steps, so that iterates jump in and out of the wrong class."""
    return Protocol("a test", 8 / 255, **{"step_size": 12 / 255, "steps": 4} | changes)


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_a_protocol_comes_to_the_same_verdicts_when_it_is_watched(case, mode):
    found = protocol_attack("name", coarse(mode=mode, restarts=2), EPS, seed=3)(case)
    last = every = torch.ones_like(case.labels, dtype=torch.bool)
    for restart in range(2):
        stream = generator("cpu", 3, "indicators", "name", restart)
        once = coarse(mode=mode).scaled(EPS)
        alone = run_protocol(case.target, case.images, case.labels, THREAT, once, stream)
        last, every = last & alone.robust_last, every & alone.robust_any
    assert torch.equal(found.fooled, ~last)
    assert torch.equal(found.ever_fooled, ~every)
    assert (found.ever_fooled & ~found.fooled).sum() > 0


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_apgd_finds_what_the_package_alone_finds(case, norm):
    threat = ThreatModel(norm, 0.1 if norm == "Linf" else 0.8)
    case = Case(case.crafted_on, case.target, case.images, case.labels, threat)
    before = torch.random.get_rng_state()
    found = apgd_attack(seed=5, steps=30)(case)
    assert torch.equal(torch.random.get_rng_state(), before)
    with torch.random.fork_rng(devices=[]):
        package = APGDAttack(case.target, 30, norm, eps=threat.eps, seed=5, device="cpu")
        points = package.perturb(case.images, case.labels)
    with torch.no_grad():
        fooled = case.target(points).argmax(1) != case.labels
    assert torch.equal(found.fooled, fooled)
    assert torch.equal(found.ever_fooled, fooled)
    assert 10 < fooled.sum() < len(fooled) - 10


@pytest.mark.parametrize("loss", ["ce", "dlr"])
def test_a_protocol_of_apgd_is_the_packages_with_its_own_steps_loss_and_restarts(case, loss):
    published = coarse(attack="apgd", loss=loss, steps=7, restarts=2)
    found = protocol_attack("name", published, EPS, seed=3)(case)
    fooled = torch.zeros_like(case.labels, dtype=torch.bool)
    for restart in range(2):
        seed = seed_from(3, "indicators", "name", restart) % 2**31
        with torch.random.fork_rng(devices=[]):
            package = APGDAttack(
                case.target, 7, "Linf", eps=EPS, seed=seed, loss=loss, device="cpu"
            )
            points = package.perturb(case.images, case.labels)
        with torch.no_grad():
            fooled |= case.target(points).argmax(1) != case.labels
    assert torch.equal(found.fooled, fooled)
    assert 10 < fooled.sum() < len(fooled) - 10


def test_the_path_is_the_start_the_iterates_and_the_last_point(case):
    protocol, count = coarse().scaled(EPS), 12
    images, labels = case.images[:count], case.labels[:count]
    seen = []
    watched = Watched(case.target, labels, cross_entropy, cut=False)
    hook = case.target.register_forward_hook(
        lambda _, given, out: seen.append((given[0], given[0].requires_grad, out.detach()))
    )
    run_protocol(watched, images, labels, THREAT, protocol, torch.Generator().manual_seed(0))
    hook.remove()
    path = watched.trajectory()
    assert not seen[-1][1]  # no gradient is needed at the last iterate
    on_path = [out for _, with_gradient, out in seen if with_gradient] + [seen[-1][2]]
    assert path.losses.shape == path.wrong.shape == (protocol.steps + 1, count)
    assert torch.equal(path.losses, torch.stack([cross_entropy(out, labels) for out in on_path]))
    assert torch.equal(path.last, seen[-1][0])
    assert not path.no_gradient.any()


def test_a_watched_network_that_is_cut_gives_zero_gradients_and_the_same_logits(case):
    watched = Watched(case.target, case.labels, cross_entropy, cut=True)
    images = case.images.clone().requires_grad_(True)
    logits = watched(images)
    (gradient,) = torch.autograd.grad(logits.sum(), images)
    assert torch.equal(logits, case.target(case.images))
    assert not gradient.any()
    assert watched.trajectory().no_gradient.all()


def test_the_last_point_stays_what_it_was_when_an_attack_moves_on_in_place(case):
    watched = Watched(case.target, case.labels, cross_entropy, cut=False)
    points = case.images.clone()
    with torch.no_grad():
        watched(points)
    points.add_(0.5)
    assert torch.equal(watched.trajectory().last, case.images)


def test_a_gradient_that_is_not_finite_is_not_available(case):
    watched = Watched(case.target, case.labels, cross_entropy, cut=False)
    images = case.images.clone().requires_grad_(True)
    weights = torch.ones(len(images))
    weights[3] = torch.nan
    torch.autograd.grad((watched(images).sum(1) * weights).sum(), images)
    assert watched.trajectory().no_gradient.nonzero().flatten().tolist() == [3]


def test_a_gradient_that_is_zero_at_some_pixels_is_available(case):
    watched = Watched(Half(case.target), case.labels, cross_entropy, cut=False)
    images = case.images.clone().requires_grad_(True)
    torch.autograd.grad(cross_entropy(watched(images), case.labels).sum(), images)
    assert not watched.trajectory().no_gradient.any()


def test_only_a_network_that_autograd_refuses_is_interrupted(case):
    arguments = case.images[:3], case.labels[:3], cross_entropy
    for network in (Hard, Detached, Refusing):
        assert gradients_interrupted(network(case.target), *arguments)
    for network in (case.target, Saturated(case.target)):
        assert not gradients_interrupted(network, *arguments)


@pytest.mark.parametrize(("norm", "radius"), [("Linf", 1), ("L2", 8), ("L1", 64)])
def test_without_an_eps_the_ball_holds_the_box(case, norm, radius):
    wide = Case(case.target, case.target, case.images, case.labels, ThreatModel(norm, 0.1))
    assert wide.unconstrained().threat == ThreatModel(norm, radius)


def test_without_an_eps_a_protocol_keeps_the_ratio_of_its_step(case, monkeypatch):
    given = []

    def spy(model, images, labels, threat, protocol, stream):
        given.append((threat, protocol))
        return run_protocol(model, images, labels, threat, protocol, stream)

    monkeypatch.setattr(attempts, "run_protocol", spy)
    protocol_attack("name", Protocol("a test", 0.031, 0.0078, 10), EPS, 0)(case.unconstrained())
    ((threat, protocol),) = given
    assert (threat.eps, protocol.eps, protocol.steps) == (1, 1, 10)
    assert protocol.step_size == pytest.approx(0.0078 / 0.031)


def path(*losses):
    return torch.tensor(losses, dtype=torch.float32)[:, None]


@pytest.mark.parametrize(
    ("losses", "gain"),
    [
        ((0.0, 1.0), 1.0),  # one step is all there is
        ((0.0, 3.0, 4.0), 0.25),  # of a short path the last step
        ((2.0, 2.0, 2.0), 0.0),  # it never moved
        ((0.0, 4.0, 1.0), 0.0),  # the best so far, not the loss
        ((4.0, 0.0, 4.0), 0.0),
        ((1.0, *range(50)), 10 / 49),  # the last 10 of 50
        ((1.0, *range(100)), 10 / 99),  # and of 100
        ((0.0, *[1.0] * 40, *[1.1] * 10), 0.1 / 1.1),
    ],
)
def test_the_late_gain_is_that_of_the_best_loss_over_the_last_steps(losses, gain):
    assert late_gain(path(*losses)).item() == pytest.approx(gain)


def attempt(**changes):
    names = ("fooled", "ever_fooled", "final_fools_crafted", "final_fools_target", "no_gradient")
    no = {name: torch.tensor([False, False]) for name in names}
    return Attempt(**no | {"best_loss": torch.zeros(2), "late_gain": torch.zeros(2)} | changes)


def test_restarts_together_fool_what_any_fools_and_are_complete_where_they_got_farthest():
    one = attempt(
        fooled=torch.tensor([True, False]),
        best_loss=torch.tensor([2.0, 1.0]),
        late_gain=torch.tensor([0.1, 0.2]),
    )
    other = attempt(best_loss=torch.tensor([1.0, 3.0]), late_gain=torch.tensor([0.3, 0.4]))
    both = together([one, other])
    assert both.fooled.tolist() == [True, False]
    assert both.ever_fooled.tolist() == [False, False]
    assert both.late_gain.tolist() == pytest.approx([0.1, 0.4])
    assert both.best_loss.tolist() == [2, 3]

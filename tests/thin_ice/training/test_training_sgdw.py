"""SGDW follows its three equations, and is torch's SGD where the two agree."""

import pytest
import torch

from thin_ice.training.hooks import Hooks
from thin_ice.training.plan import Plan
from thin_ice.training.sgdw import Sgdw
from thin_ice.training.state import make_optimizer

START = torch.tensor([1.0, -2.0, 0.5])
GRADIENTS = [torch.tensor(g) for g in ([0.3, -0.1, 0.2], [-0.4, 0.0, 0.1], [0.2, 0.5, -0.3])]


def after(optimizer_of, rates):
    """Where a weight ends whose gradients are given, at these rates."""
    weight = torch.nn.Parameter(START.clone())
    optimizer = optimizer_of([weight])
    for gradient, rate in zip(GRADIENTS, rates, strict=True):
        optimizer.param_groups[0]["lr"] = rate
        weight.grad = gradient.clone()
        optimizer.step()
    return weight.detach()


def test_a_step_decays_then_moves_by_the_velocity_that_has_the_rate_inside():
    weight, velocity = START.clone(), torch.zeros(3)
    rates = (0.1, 0.1, 0.01)
    for gradient, rate in zip(GRADIENTS, rates, strict=True):
        weight = weight - 0.2 * (rate / 0.1) * weight
        velocity = 0.9 * velocity - rate * gradient
        weight = weight + velocity
    found = after(lambda weights: Sgdw(weights, 0.1, 0.9, 0.2), rates)
    assert torch.allclose(found, weight, atol=1e-7)


def test_at_one_rate_and_without_decay_it_is_torch_s_sgd():
    sgd = after(lambda weights: torch.optim.SGD(weights, 0.1, momentum=0.9), (0.1,) * 3)
    assert torch.allclose(after(lambda w: Sgdw(w, 0.1, 0.9, 0), (0.1,) * 3), sgd, atol=1e-7)


def test_where_the_rate_drops_the_velocity_goes_on_as_fast_as_it_was():
    rates = (0.1, 0.1, 0.0)
    moving = after(lambda w: Sgdw(w, 0.1, 0.9, 0), rates)
    before = after(lambda w: torch.optim.SGD(w, 0.1, momentum=0.9), rates)
    velocity = -0.1 * (0.9 * GRADIENTS[0] + GRADIENTS[1])
    assert torch.allclose(moving - before, 0.9 * velocity, atol=1e-7)


def test_a_decay_of_5e_4_is_an_l2_coefficient_of_5e_3_at_a_rate_of_a_tenth():
    """Without momentum the two are the same step."""
    raw = after(lambda w: Sgdw(w, 0.1, 0, 5e-4), (0.1,) * 3)
    coupled = after(lambda w: torch.optim.SGD(w, 0.1, weight_decay=5e-3), (0.1,) * 3)
    assert torch.allclose(raw, coupled, atol=1e-7)
    assert not torch.allclose(raw, after(lambda w: Sgdw(w, 0.1, 0, 0), (0.1,) * 3), atol=1e-4)


def test_what_has_no_gradient_is_left_alone():
    weight, frozen = torch.nn.Parameter(START.clone()), torch.nn.Parameter(START.clone())
    optimizer = Sgdw([weight, frozen], 0.1, 0.9, 0.1)
    weight.grad = GRADIENTS[0].clone()
    optimizer.step()
    assert torch.equal(frozen, START)
    assert not torch.equal(weight, START)


def test_a_plan_can_ask_for_it(build):
    plan = Plan(optimizer="sgdw", lr=0.3, momentum=0.7, weight_decay=0.01)
    optimizer = make_optimizer(build(0), plan)
    assert isinstance(optimizer, Sgdw)
    (group,) = optimizer.param_groups
    assert {k: group[k] for k in ("lr", "initial_lr", "momentum", "weight_decay")} == {
        **{"lr": 0.3, "initial_lr": 0.3},
        **{"momentum": 0.7, "weight_decay": 0.01},
    }


@pytest.mark.parametrize("done", [1, 2])
def test_hooks_know_the_optimiser_as_an_earlier_attempt_left_it(build, setting, tmp_path, done):
    """Before the first step of every attempt, once."""
    from thin_ice.checkpoint import Checkpoint
    from thin_ice.training.fit import fit

    class Spy(Hooks):
        def __init__(self, stop):
            self.stop, self.seen = stop, []

        def before_training(self, model, optimizer):
            self.seen.append(len(optimizer.state))
            self.optimizer = optimizer

        def after_epoch(self, model, epoch):
            assert self.optimizer.state
            if epoch == self.stop:
                raise KeyboardInterrupt

    first, second = Spy(done), Spy(None)
    chosen = setting(epochs=3, optimizer="sgdw")
    with pytest.raises(KeyboardInterrupt):
        fit(build(0), chosen, first, Checkpoint(tmp_path / "c", "job"))
    fit(build(0), chosen, second, Checkpoint(tmp_path / "c", "job"))
    assert first.seen == [0]
    assert len(second.seen) == 1
    assert second.seen[0] > 0

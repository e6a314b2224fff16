"""The optimisers without torch's compiler are torch's optimisers, bit for bit."""

import copy
import subprocess
import sys

import pytest
import torch
from torch.optim import SGD, Adam

from thin_ice.training.optimizers import EagerAdam, EagerSgd
from thin_ice.training.plan import Plan
from thin_ice.training.state import make_optimizer

PAIRS = [
    pytest.param(EagerSgd, SGD, {}, id="sgd"),
    pytest.param(EagerSgd, SGD, {"momentum": 0.9}, id="sgd with momentum"),
    pytest.param(EagerSgd, SGD, {"momentum": 0.9, "weight_decay": 5e-4}, id="sgd with decay"),
    pytest.param(EagerAdam, Adam, {}, id="adam"),
    pytest.param(EagerAdam, Adam, {"weight_decay": 5e-4}, id="adam with decay"),
]
SHAPES = ((4, 3, 3, 3), (7, 5), (5,), ())
STEPS = 12


def weights():
    stream = torch.Generator().manual_seed(0)
    return [torch.nn.Parameter(torch.randn(shape, generator=stream)) for shape in SHAPES]


def walk(kind, options, moved, half_way=lambda optimizer: optimizer):
    """Steps of an optimiser at rates that fall, each weight now and then without a gradient."""
    optimizer, stream = kind(moved, lr=0.1, **options), torch.Generator().manual_seed(1)
    for step in range(STEPS):
        optimizer.zero_grad(set_to_none=True)
        optimizer.param_groups[0]["lr"] = 0.1 * (1 - step / STEPS)
        for number, weight in enumerate(moved):
            gradient = torch.randn(weight.shape, generator=stream)
            weight.grad = None if (step + number) % 5 == 0 else gradient
        optimizer.step()
        if step == STEPS // 2:
            optimizer = half_way(optimizer)
    return optimizer


def same(mine, theirs):
    return all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))


@pytest.mark.parametrize(("eager", "torchs", "options"), PAIRS)
def test_every_weight_and_moment_ends_where_torch_s_does(eager, torchs, options):
    mine, theirs, start = weights(), weights(), weights()
    one, other = walk(eager, options, mine), walk(torchs, options, theirs)
    assert same(mine, theirs)
    assert not same(mine, start)
    states = (optimizer.state_dict()["state"].values() for optimizer in (one, other))
    for my_state, their_state in zip(*states, strict=True):
        assert my_state.keys() == their_state.keys()
        tensors = [name for name, value in their_state.items() if value is not None]
        assert same([my_state[n] for n in tensors], [their_state[n] for n in tensors])


@pytest.mark.parametrize(("eager", "torchs", "options"), PAIRS)
def test_it_goes_on_from_a_state_that_torch_s_own_saved(eager, torchs, options):
    def taken_up(optimizer):
        fresh = eager(optimizer.param_groups[0]["params"], lr=0.1, **options)
        fresh.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        return fresh

    mine, theirs = weights(), weights()
    walk(torchs, options, mine, taken_up)
    walk(torchs, options, theirs)
    assert same(mine, theirs)


@pytest.mark.parametrize(("eager", "torchs", "options"), PAIRS)
def test_a_step_leaves_no_graph_and_the_gradient_mode_as_it_was(eager, torchs, options):
    moved = weights()
    walk(eager, options, moved)
    assert torch.is_grad_enabled()
    assert all(weight.requires_grad and weight.grad_fn is None for weight in moved)


@pytest.mark.parametrize("name", ["sgd", "sgdw", "adam"])
def test_the_optimiser_of_a_plan_is_torch_s_as_far_as_a_plan_goes(name):
    model = torch.nn.Linear(3, 2)
    optimizer = make_optimizer(model, Plan(optimizer=name, lr=0.05, weight_decay=0.1))
    assert isinstance(optimizer, torch.optim.Optimizer)
    (group,) = optimizer.param_groups
    assert group["params"] == list(model.parameters())
    assert (group["lr"], group["weight_decay"]) == (0.05, 0.1)


TRAINED = """
import sys, torch
from thin_ice.training.plan import Plan
from thin_ice.training.state import make_optimizer
model = torch.nn.Linear(3, 2)
optimizer = make_optimizer(model, Plan(optimizer=sys.argv[1]))
model(torch.ones(1, 3)).sum().backward()
optimizer.step()
optimizer.zero_grad(set_to_none=True)
optimizer.load_state_dict(optimizer.state_dict())
sys.exit(" ".join({"torch._dynamo", "sympy"} & set(sys.modules)) or 0)
"""


@pytest.mark.parametrize("name", ["sgd", "sgdw", "adam"])
def test_no_optimiser_of_a_plan_imports_the_compiler(name):
    done = subprocess.run([sys.executable, "-c", TRAINED, name], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")

"""ADMM: projections in each unit, duals and penalty by hand, and what must survive a kill."""

import itertools
import os
import signal

import pytest
import torch
from torch import nn

from thin_ice import interruption
from thin_ice.checkpoint import Checkpoint
from thin_ice.models.network import Architecture
from thin_ice.objectives.natural import Natural
from thin_ice.objectives.self_distillation import SelfDistillation
from thin_ice.pruning.admm import AdmmPruner, Duals, projection
from thin_ice.pruning.prune import prune
from thin_ice.pruning.pwoa import Pwoa
from thin_ice.pruning.radmm import Radmm
from thin_ice.sparsity.masks import column_masks, kept_count
from thin_ice.training.setting import Setting

EXAMPLE = torch.zeros(2, 1, 4, 4)
UNITS = [*((Radmm, unit) for unit in Radmm.units), *((Pwoa, unit) for unit in Pwoa.units)]


class Residual(nn.Module):
    """Two convolutions whose outputs are added: one group of three channels."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 3, 1)
        self.bn = nn.BatchNorm2d(3)
        self.conv2 = nn.Conv2d(3, 3, 1, bias=False)
        self.linear = nn.Linear(3, 2)

    def forward(self, images):
        x = self.bn(self.conv1(images))
        return self.linear((x + self.conv2(x.relu())).mean((2, 3)))


def residual(first, second):
    """With these rows in conv1 (3 numbers) and conv2 (3 x 3)."""
    model = Residual()
    put(model, first, second)
    return model


def put(model, first, second):
    with torch.no_grad():
        model.conv1.weight.copy_(torch.tensor(first).view(3, 1, 1, 1))
        model.conv2.weight.copy_(torch.tensor(second).view(3, 3, 1, 1))


def rows(tensors):
    return [tensors["conv1.weight"].flatten().tolist(), tensors["conv2.weight"].flatten(1).tolist()]


def pruner_of(unit, model, **duals):
    """Half of everything goes, in three periods."""
    chosen = Duals(**{"rho": 0.1, "growth": 2.0, "limit": 0.3, "periods": 3} | duals)
    pruner = AdmmPruner(chosen, "all", 0.5, unit)
    pruner.projection = projection(unit, model, EXAMPLE, "all", 0.5)
    return pruner


# By rows together: 3, 3 and sqrt(13). By conv1 alone channels 0 and 2 would stay, by conv2 alone
# 1 and 2.
FIRST, SECOND = [3.0, 0.0, 1.0], [[0.0, 0.0, 0.0], [2.0, -2.0, 1.0], [2.0, 2.0, -2.0]]


def test_filters_that_a_shortcut_ties_are_chosen_by_their_rows_together_and_ties_by_index():
    model = residual(FIRST, SECOND)
    found = projection("filter", model, EXAMPLE, "all", 0.5)
    weights = found.weights(model)
    assert list(weights) == ["conv1.weight", "conv2.weight"]
    masks = found.masks(weights)
    assert rows(masks) == [[True, False, True], [[True] * 3, [False] * 3, [True] * 3]]


@pytest.mark.parametrize("seed", range(5))
def test_no_network_of_so_many_filters_is_nearer_than_the_projection(seed):
    stream = torch.Generator().manual_seed(seed)
    first, second = (torch.randn(shape, generator=stream) for shape in ((3,), (3, 3)))
    model = residual(first.tolist(), second.tolist())
    pruner = pruner_of("filter", model)
    pruner.before_epoch(model, 0, 3)
    weights = dict(model.named_parameters())
    distance = sum((weights[n] - z).square().sum() for n, z in pruner.z.items()).item()
    lost = [
        first[gone].square().sum() + second[gone].square().sum()
        for gone in map(list, itertools.combinations(range(3), 1))
    ]
    assert distance == pytest.approx(min(lost).item(), rel=1e-5)


def test_the_duals_of_tied_filters_by_hand_over_three_periods():
    model = residual(FIRST, SECOND)
    pruner = pruner_of("filter", model)
    zeros = [[0.0] * 3, [[0.0] * 3] * 3]
    pruner.before_epoch(model, 0, 3)
    assert rows(pruner.z) == [[3.0, 0.0, 1.0], [[0.0] * 3, [0.0] * 3, [2.0, 2.0, -2.0]]]
    assert rows(pruner.u) == zeros

    put(model, [1.0, 0.5, 1.0], [[0.0, 0.0, 0.0], [2.0, -2.0, 1.0], [0.0, 0.0, -2.0]])
    pruner.before_epoch(model, 1, 3)  # rows of W + U: 1, sqrt(9.25), sqrt(5)
    assert rows(pruner.z) == [[0.0, 0.5, 1.0], [[0.0] * 3, [2.0, -2.0, 1.0], [0.0, 0.0, -2.0]]]
    assert rows(pruner.u) == [[1.0, 0.0, 0.0], zeros[1]]
    assert (pruner.rho, pruner.updates) == (0.2, 1)

    put(model, [1.0, 0.0, 1.0], [[0.5, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, -1.0]])
    pruner.before_epoch(model, 2, 3)  # W + U: sqrt(4.25), 1, sqrt(2)
    assert rows(pruner.z) == [[2.0, 0.0, 1.0], [[0.5, 0.0, 0.0], [0.0] * 3, [0.0, 0.0, -1.0]]]
    assert rows(pruner.u) == [[0.0] * 3, [[0.0] * 3, [0.0, 1.0, 0.0], [0.0] * 3]]
    assert (pruner.rho, pruner.updates) == (0.3, 2)  # not 0.4: the limit

    penalty = pruner.penalty(model)
    penalty.backward()
    # W - Z + U: -1, 0, 0 in conv1; in conv2 nothing but 1 - 0 + 1 at channel 1
    assert penalty.item() == pytest.approx(0.15 * (1 + 4))
    assert model.conv1.weight.grad.flatten().tolist() == pytest.approx([-0.3, 0.0, 0.0])
    assert model.conv2.weight.grad.flatten().tolist() == pytest.approx(
        [0.0] * 4 + [0.6] + [0.0] * 4
    )
    assert model.linear.weight.grad is None
    assert model.bn.weight.grad is None


def test_with_filters_go_their_bias_batch_norm_and_columns():
    model = residual(FIRST, SECOND)
    pruner = pruner_of("filter", model)
    pruner.before_epoch(model, 0, 3)
    pruner.u["conv1.weight"].add_(100.0)  # the end is without duals
    masks = pruner.finish(model)
    channel, all_but_one = [True, False, True], [[True, False, True]] * 2
    assert rows(masks)[0] == channel
    assert rows(masks)[1] == [channel, [False] * 3, channel]
    assert masks["conv1.bias"].tolist() == masks["bn.weight"].tolist() == channel
    assert masks["bn.bias"].tolist() == channel
    assert masks["linear.weight"].tolist() == all_but_one
    assert set(masks) == {
        *("conv1.weight", "conv1.bias", "bn.weight", "bn.bias", "conv2.weight", "linear.weight")
    }
    model.eval()
    images = torch.rand(2, 1, 4, 4)
    pruned = model(images)
    with torch.no_grad():
        model.linear.parametrizations.weight.original[:, 1] = 7.0
    assert torch.equal(model(images), pruned)


def test_columns_are_chosen_by_their_norm_and_ties_by_index():
    weight = torch.tensor([[[[0.0, 5.0]], [[3.0, 2.0]]], [[[-5.0, 0.0]], [[-4.0, 2.0]]]])
    # in x kw: columns (0, -5), (5, 0), (3, -4), (2, 2), three of them of norm 5
    masks = column_masks({"w": weight}, 0.5)
    assert masks["w"].tolist() == [[[[True, True]], [[False, False]]]] * 2
    assert int(column_masks({"w": weight}, 0.25)["w"].sum()) == 2 * 3


def test_the_duals_of_columns_by_hand():
    model = nn.Sequential(nn.Linear(3, 2, bias=False))
    pruner = pruner_of("column", model)
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[3.0, 0.0, 1.0], [0.0, 2.0, 1.0]]))
    pruner.before_epoch(model, 0, 3)  # two of three columns stay
    assert pruner.z["0.weight"].tolist() == [[3.0, 0.0, 0.0], [0.0, 2.0, 0.0]]
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 1.0]]))
    pruner.before_epoch(model, 1, 3)  # norms 1, 1 and sqrt(2)
    assert pruner.z["0.weight"].tolist() == [[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]]
    assert pruner.u["0.weight"].tolist() == [[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    masks = pruner.finish(model)
    assert masks["0.weight"].tolist() == [[True, False, True]] * 2


@pytest.mark.parametrize("unit", Radmm.units)
@pytest.mark.parametrize("sparsity", [0.3, 0.5, 0.9, 0.99])
def test_where_everything_ties_the_budget_is_exact_and_the_projection_idempotent(
    build, unit, sparsity
):
    model = build(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(0.5)
    found = projection(unit, model, torch.zeros(2, 1, 8, 8), "all", sparsity)
    weights = {name: w.detach() for name, w in found.weights(model).items()}
    masks = found.masks(weights)
    again = found.masks({name: w * masks[name] for name, w in weights.items()})
    for name, mask in masks.items():
        assert torch.equal(again[name], mask)
        kept = {
            "weight": mask.sum() / 1,
            "column": mask.flatten(1).any(0).sum(),
            "filter": mask.flatten(1).any(1).sum(),
        }[unit]
        size = {"weight": mask.numel(), "column": mask[0].numel(), "filter": len(mask)}[unit]
        assert int(kept) == kept_count(size, sparsity)


@pytest.mark.parametrize("unit", Radmm.units)
def test_linear_layers_are_spared_in_every_unit(unit):
    model = Architecture("cnn_small", {"width": 2}, (1, 8, 8), 10, normalize=True).build(0)
    example = torch.zeros(2, 1, 8, 8)
    named = {
        layers: list(projection(unit, model, example, layers, 0.5).weights(model))
        for layers in ("convolutions", "all")
    }
    convolutions = ["network.conv1.weight", "network.conv2.weight"]
    linear = ["network.fc1.weight", "network.fc2.weight"]
    assert named["convolutions"] == convolutions
    # Whatever the classifier's rows are worth, they are classes.
    assert named["all"] == convolutions + (linear[:1] if unit == "filter" else linear)


def test_an_unknown_unit_is_an_error(build):
    with pytest.raises(KeyError, match="row"):
        projection("row", build(0), torch.zeros(2, 1, 8, 8), "all", 0.5)


@pytest.mark.parametrize("unit", Radmm.units)
@pytest.mark.parametrize("updates", [0, 1, 4])
def test_the_leaky_gradient_is_one_plus_m_times_the_exact_one_in_every_unit(build, unit, updates):
    found = []
    for leaky in (False, True):
        model = build(0)
        pruner = AdmmPruner(Duals(0.1, 2.0, 1.0, 3, leaky=leaky), "all", 0.5, unit)
        pruner.projection = projection(unit, model, torch.zeros(2, 1, 8, 8), "all", 0.5)
        pruner.before_epoch(model, 0, 3)
        pruner.updates = updates
        penalty = pruner.penalty(model)
        penalty.backward()
        found.append((penalty.item(), model.block2.conv.weight.grad))
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-6)
    torch.testing.assert_close(found[1][1], (1 + updates) * found[0][1])


def test_z_stays_between_updates_or_is_projected_anew_before_every_epoch():
    for refreshed in (False, True):
        model = residual(FIRST, SECOND)
        pruner = pruner_of("weight", model, refreshed=refreshed)
        pruner.before_epoch(model, 0, 6)
        before = rows(pruner.z)
        put(model, [1.0, 2.0, 0.5], SECOND)
        pruner.before_epoch(model, 1, 6)
        assert (rows(pruner.z) == before) != refreshed
        assert rows(pruner.z)[0] == ([1.0, 2.0, 0.0] if refreshed else [3.0, 0.0, 1.0])
        assert (pruner.rho, pruner.updates) == (0.1, 0)
        assert not any(u.any() for u in pruner.u.values())


def test_pwoa_grows_to_one_over_its_fifty_epochs(build, setting):
    model, pruner = build(0), Pwoa().pruner(0.9)
    pruner.attach(model, setting())
    rhos = []
    for epoch in range(50):
        pruner.before_epoch(model, epoch, 50)
        rhos.append(pruner.rho)
    assert pruner.updates == 16
    assert rhos[0] == 0.01
    assert sorted(set(rhos))[1:15] == pytest.approx([0.01 * 1.35**m for m in range(1, 15)])
    assert rhos[-1] == 1.0


def test_the_released_targets_are_an_option(build, setting):
    assert not Pwoa().pruner(0.9).duals.refreshed
    assert Pwoa(targets="epoch").pruner(0.9).duals.refreshed
    assert Radmm(dual_gradient="leaky").pruner(0.9).duals.leaky
    assert not Radmm().pruner(0.9).duals.leaky


class Killed:
    """Asks the job to end after so many steps."""

    def __init__(self, after):
        self.left = after

    def __call__(self, model):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(("method", "unit"), UNITS)
def test_a_killed_job_goes_on_with_its_duals(build, setting, tmp_path, listening, method, unit):
    teacher = build(1).eval().requires_grad_(False)
    objective = Natural() if method is Radmm else SelfDistillation(steps=1)
    plain = setting(objective, epochs=4, select="last", lr=0.05)
    chosen = Setting(**vars(plain) | {"teacher": teacher})
    options = {"periods": 3, "rho": 0.5}

    whole, expected = build(0), method(**options).pruner(0.5, unit)
    masks = prune(whole, expected, chosen, Checkpoint(tmp_path / "whole", "job")).masks
    assert expected.updates == 2

    checkpoint, killed = Checkpoint(tmp_path / "killed", "job"), method(**options).pruner(0.5, unit)
    killed.after_step = Killed(2 * chosen.steps_per_epoch + 2)  # in epoch 2, after an update
    with pytest.raises(interruption.Interrupted):
        prune(build(0), killed, chosen, checkpoint)
    assert killed.updates == 1
    interruption.listen()
    resumed, model = method(**options).pruner(0.5, unit), build(0)
    found = prune(model, resumed, chosen, checkpoint).masks
    assert (resumed.rho, resumed.updates) == (expected.rho, expected.updates)
    for name in expected.z:
        assert torch.equal(resumed.z[name], expected.z[name])
        assert torch.equal(resumed.u[name], expected.u[name])
        assert expected.u[name].any()
    assert all(torch.equal(found[name], masks[name]) for name in masks)
    state = whole.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())

"""R-ADMM: projections, duals and penalty by hand, and the released code's leak."""

import numpy as np
import pytest
import torch
from torch import nn

from thin_ice.checkpoint import Checkpoint
from thin_ice.pruning.admm import projection
from thin_ice.pruning.prune import prune
from thin_ice.pruning.radmm import Radmm
from thin_ice.sparsity.masks import kept_count


def layer(*values):
    """A network of one linear layer with the given weights."""
    model = nn.Sequential(nn.Linear(len(values), 1))
    put(model, values)
    return model


def put(model, values):
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([values]))


def one_layer_pruner(**options):
    pruner = Radmm(**{"layers": "all", "periods": 3} | options).pruner(0.5)
    pruner.projection = projection("weight", nn.Identity(), torch.empty(0), "all", 0.5)
    return pruner


def values(tensors):
    return tensors["0.weight"].flatten().tolist()


def test_projections_and_duals_by_hand_over_three_periods():
    pruner, model = one_layer_pruner(rho=0.1, rho_growth=2.0), layer(4.0, -3.0, 2.0, 1.0)
    pruner.before_epoch(model, 0, 6)
    assert values(pruner.z) == [4.0, -3.0, 0.0, 0.0]
    assert values(pruner.u) == [0.0, 0.0, 0.0, 0.0]
    assert (pruner.rho, pruner.updates) == (0.1, 0)

    put(model, [3.0, -2.0, 2.5, 1.0])
    pruner.before_epoch(model, 1, 6)  # within the first period: nothing happens
    assert values(pruner.z) == [4.0, -3.0, 0.0, 0.0]
    pruner.before_epoch(model, 2, 6)  # W + U = [3, -2, 2.5, 1]: the largest are 3 and 2.5
    assert values(pruner.z) == [3.0, 0.0, 2.5, 0.0]
    assert values(pruner.u) == [0.0, -2.0, 0.0, 1.0]
    assert (pruner.rho, pruner.updates) == (0.2, 1)

    put(model, [1.0, -1.0, 2.0, 0.5])
    pruner.before_epoch(model, 3, 6)
    assert pruner.updates == 1
    pruner.before_epoch(model, 4, 6)  # W + U = [1, -3, 2, 1.5]: the largest are -3 and 2
    assert values(pruner.z) == [0.0, -3.0, 2.0, 0.0]
    assert values(pruner.u) == [1.0, 0.0, 0.0, 1.5]
    assert (pruner.rho, pruner.updates) == (0.4, 2)


def test_rho_grows_by_1_3_at_the_start_of_each_period_but_the_first():
    pruner, model = one_layer_pruner(periods=10), layer(4.0, -3.0, 2.0, 1.0)
    rhos = []
    for epoch in range(200):
        pruner.before_epoch(model, epoch, 200)
        rhos.append(pruner.rho)
    expected = [1e-3 * 1.3 ** (epoch // 20) for epoch in range(200)]
    assert rhos == pytest.approx(expected)
    assert pruner.updates == 9


def test_fewer_epochs_than_periods_update_before_each_epoch_but_the_first():
    pruner, model = one_layer_pruner(periods=10), layer(1.0, 2.0)
    for epoch in range(4):
        pruner.before_epoch(model, epoch, 4)
    assert pruner.updates == 3


def planted(dual_gradient="exact", updates=0, rho=0.2):
    """A pruner in the middle of its work, and its network."""
    pruner, model = one_layer_pruner(dual_gradient=dual_gradient), layer(3.0, -2.0, 1.0, 0.5)
    pruner.before_epoch(model, 0, 6)
    pruner.rho, pruner.updates = rho, updates
    pruner.z = {"0.weight": torch.tensor([[3.5, 0.0, 0.0, 0.0]])}
    pruner.u = {"0.weight": torch.tensor([[0.0, -1.0, 0.5, 0.0]])}
    return pruner, model


def test_penalty_and_its_gradient_by_hand():
    pruner, model = planted()
    penalty = pruner.penalty(model)
    penalty.backward()
    distance = np.array([3.0 - 3.5, -2.0 - 1.0, 1.0 + 0.5, 0.5])
    assert penalty.item() == pytest.approx(0.1 * (distance**2).sum())
    np.testing.assert_allclose(model[0].weight.grad.numpy()[0], 0.2 * distance, rtol=1e-6)
    assert model[0].bias.grad is None


def test_penalties_of_layers_add_up(build, setting):
    pruner, model = Radmm(rho=0.3).pruner(0.9), build(0)
    pruner.attach(model, setting())
    pruner.before_epoch(model, 0, 10)
    total = pruner.penalty(model).item()
    parts = 0.0
    for block in (model.block1, model.block2, model.block3):
        weight = block.conv.weight.detach().abs().flatten()
        kept = kept_count(weight.numel(), 0.9)
        parts += 0.15 * weight.sort(descending=True).values[kept:].square().sum().item()
    assert total == pytest.approx(parts, rel=1e-5)


@pytest.mark.parametrize("updates", [0, 1, 4, 9])
def test_the_leaky_gradient_is_one_plus_m_times_the_exact_one_and_the_value_the_same(updates):
    found = {}
    for kind in ("exact", "leaky"):
        pruner, model = planted(kind, updates)
        penalty = pruner.penalty(model)
        penalty.backward()
        found[kind] = (penalty.item(), model[0].weight.grad)
    assert found["leaky"][0] == pytest.approx(found["exact"][0], rel=1e-6)
    torch.testing.assert_close(found["leaky"][1], (1 + updates) * found["exact"][1])


def project(weight, keep):
    """As the released code does, through NumPy, outside the graph."""
    flat = weight.detach().numpy()
    threshold = np.sort(np.abs(flat).ravel())[-keep]
    return torch.tensor(np.where(np.abs(flat) >= threshold, flat, 0))


def test_the_leaky_option_trains_as_the_released_mechanism_with_its_attached_duals():
    """Released mechanism: U <- U + W - Z is never detached, so it stays a function of W."""
    start = torch.randn(1, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    target = torch.randn(1, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    epochs, periods, rate = 12, 4, 0.2

    released = nn.Parameter(start.clone())
    rho, z, u = 0.05, project(start, 4), torch.zeros_like(start)
    model = nn.Sequential(nn.Linear(8, 1, bias=False).double())
    model[0].weight.data.copy_(start)
    pruner = one_layer_pruner(rho=0.05, periods=periods, dual_gradient="leaky")
    for epoch in range(epochs):
        if epoch and epoch % (epochs // periods) == 0:
            rho *= 1.3
            z = project(released + u, 4)
            u = u + released - z
        pruner.before_epoch(model, epoch, epochs)

        loss = (released - target).square().sum() / 2
        loss = loss + rho / 2 * (released - z + u).square().sum()
        (gradient,) = torch.autograd.grad(loss, released)
        # In place and unseen by autograd, as an optimiser does it: the attached U keeps its
        # value and its slope.
        released.data.sub_(rate * gradient)

        loss = (model[0].weight - target).square().sum() / 2 + pruner.penalty(model)
        (gradient,) = torch.autograd.grad(loss, model[0].weight)
        model[0].weight.data.sub_(rate * gradient)
        torch.testing.assert_close(model[0].weight.data, released.data)
        torch.testing.assert_close(pruner.u["0.weight"], u.detach())
        torch.testing.assert_close(pruner.z["0.weight"], z)
    assert pruner.updates == 3
    assert pruner.rho == pytest.approx(rho)


def test_the_exact_option_departs_from_the_leaky_one_only_after_the_first_update(
    build, setting, tmp_path
):
    ended = {}
    for kind in ("exact", "leaky"):
        for epochs in (1, 2):
            model = build(0)
            pruner = Radmm(rho=1.0, periods=2, dual_gradient=kind).pruner(0.9)
            chosen = setting(epochs=epochs, lr=0.05, schedule="constant", select="last")
            prune(model, pruner, chosen, Checkpoint(tmp_path / f"{kind}{epochs}", "job"))
            ended[kind, epochs] = model.block2.conv.weight.detach()
    assert torch.equal(ended["exact", 1], ended["leaky", 1])
    assert not torch.equal(ended["exact", 2], ended["leaky", 2])


def test_ties_at_the_projection_s_threshold_leave_the_budget_exact():
    pruner, model = one_layer_pruner(), layer(1.0, -1.0, 1.0, 2.0, -1.0, 1.0)
    pruner.before_epoch(model, 0, 6)
    assert values(pruner.z) == [1.0, -1.0, 0.0, 2.0, 0.0, 0.0]
    masks = pruner.finish(model)
    assert values(masks) == [True, True, False, True, False, False]


def test_the_final_mask_is_the_projection_of_the_weights_without_the_duals():
    pruner, model = planted()
    put(model, [0.1, 0.2, 3.0, 4.0])
    assert values(pruner.finish(model)) == [False, False, True, True]
    assert torch.equal(model[0].weight, torch.tensor([[0.0, 0.0, 3.0, 4.0]]))


def test_every_weight_trains_while_pruning(build, setting, checkpoint):
    model, before = build(0), build(0).state_dict()
    pruned = prune(model, Radmm().pruner(0.5), setting(select="last"), checkpoint)
    for name, parameter in model.named_parameters():
        mask = pruned.masks.get(name, torch.ones_like(parameter, dtype=torch.bool))
        assert not torch.equal(parameter[mask], before[name][mask])


def test_the_penalty_draws_weights_towards_sparsity(build, setting, tmp_path):
    rest = []
    for rho in (0.0, 5.0):
        model, pruner = build(0), Radmm(rho=rho, periods=1).pruner(0.9)
        finish, tails = pruner.finish, []

        def watched(network, finish=finish, tails=tails):
            weight = network.block2.conv.weight.detach().abs().flatten()
            tails.append(weight.sort().values[: int(0.9 * weight.numel())].norm().item())
            return finish(network)

        pruner.finish = watched
        chosen = setting(epochs=4, lr=0.05, momentum=0.0, schedule="constant")
        prune(model, pruner, chosen, Checkpoint(tmp_path / str(rho), "job"))
        rest.append(tails[0])
    assert rest[1] < 0.5 * rest[0]


def test_duals_and_counters_survive_as_tensors():
    pruner, model = planted(updates=3, rho=0.1 * 1.3**3)
    other = one_layer_pruner()
    other.restore({name: tensor.clone() for name, tensor in pruner.state().items()})
    assert (other.rho, other.updates) == (pruner.rho, 3)
    assert values(other.z) == values(pruner.z)
    assert values(other.u) == values(pruner.u)
    assert other.penalty(model).item() == pruner.penalty(model).item()

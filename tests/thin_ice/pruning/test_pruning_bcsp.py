"""BCS-P: a number of connections that never changes, and where those that die come back."""

import math

import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from thin_ice.checkpoint import Checkpoint
from thin_ice.models.network import Architecture
from thin_ice.objectives.pgd_at import PgdAt
from thin_ice.pruning.bcsp import NEWBORN, Bcsp, allot, initial_counts, initial_density
from thin_ice.pruning.prune import prune
from thin_ice.sparsity.masks import kept_count
from thin_ice.sparsity.prunable import prunable_weights
from thin_ice.training.sgdw import Sgdw

PLAN = {"optimizer": "sgdw", "lr": 0.1, "weight_decay": 5e-4}


def attached(build, setting, sparsity=0.9, noise=0.0, stream=(0, "test")):
    """A pruner on a small network, with the optimiser of its plan."""
    model, pruner = build(0), Bcsp(noise=noise).pruner(sparsity)
    pruner.attach(model, setting(PgdAt(steps=1), stream=stream, **PLAN))
    optimizer = Sgdw(model.parameters(), 0.1, 0.9, 5e-4)
    pruner.before_training(model, optimizer)
    return model, pruner, optimizer


def thetas_of(pruner):
    return {n: m.parametrizations.weight.original.detach() for n, m in pruner.modules.items()}


def counts_of(pruner):
    return {name: int((theta > 0).sum()) for name, theta in thetas_of(pruner).items()}


def sizes_of(model_or_pruner):
    return {n: m.weight.numel() for n, m in model_or_pruner.modules.items()}


@limits(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seeds=st.lists(st.integers(0, 10**6), min_size=1, max_size=10),
    scale=st.sampled_from([1e-13, 1e-3, 0.1, 10.0]),
    sparsity=st.sampled_from([0.1, 0.5, 0.9, 0.99]),
    noise=st.sampled_from([0.0, 1e-6, 1.0]),
)
def test_the_number_of_connections_is_constant_for_any_sequence_of_steps(
    build, setting, seeds, scale, sparsity, noise
):
    """Whatever happens to the thetas in between, connected or not."""
    model, pruner, _ = attached(build, setting, sparsity, noise)
    size = sum(weight.numel() for weight in prunable_weights(model).values())
    expected = kept_count(size, sparsity)
    assert sum(counts_of(pruner).values()) == expected
    for seed in seeds:
        draws = torch.Generator().manual_seed(seed)
        for theta in thetas_of(pruner).values():
            theta.add_(scale * torch.randn(theta.shape, generator=draws))
        pruner.after_step(model)
        assert sum(counts_of(pruner).values()) == expected
        assert all(bool((theta >= 0).all()) for theta in thetas_of(pruner).values())
    assert sum(int(mask.sum()) for mask in pruner.finish(model).values()) == expected


def test_a_step_is_decay_velocity_noise_and_death_by_hand(build, setting):
    model, pruner, optimizer = attached(build, setting)
    draws = torch.Generator().manual_seed(3)
    thetas = thetas_of(pruner)
    before = {name: theta.clone() for name, theta in thetas.items()}
    velocities = {name: torch.zeros_like(theta) for name, theta in thetas.items()}
    for _ in range(2):
        gradients = {}
        for name, module in pruner.modules.items():
            original = module.parametrizations.weight.original
            gradients[name] = torch.randn(original.shape, generator=draws) * (original > 0)
            original.grad = gradients[name].clone()
        connected = {name: theta > 0 for name, theta in thetas.items()}
        optimizer.step()
        pruner.after_step(model)
        for name, theta in thetas.items():
            velocities[name] = 0.9 * velocities[name] - 0.1 * gradients[name]
            moved = before[name] * (1 - 5e-4) + velocities[name]
            stayed = connected[name] & (moved > 0)
            assert torch.allclose(theta[stayed], moved[stayed], atol=1e-7)
            others = theta[~stayed]
            assert ((others == 0) | (others == NEWBORN)).all()
            before[name] = theta.clone()
    assert any((theta == NEWBORN).any() for theta in thetas.values())


def test_unconnected_thetas_wait_at_zero_whatever_momentum_they_have_left(build, setting):
    model, pruner, optimizer = attached(build, setting)
    for module in pruner.modules.values():
        original = module.parametrizations.weight.original
        original.grad = torch.zeros_like(original)
        optimizer.state[original]["momentum_buffer"] = torch.ones_like(original)
    before = {name: theta.clone() for name, theta in thetas_of(pruner).items()}
    optimizer.step()
    pruner.after_step(model)
    for name, theta in thetas_of(pruner).items():
        assert not theta[before[name] == 0].any()
        assert torch.allclose(
            theta[before[name] > 0], 0.9 + before[name][before[name] > 0] * 0.9995
        )


def test_noise_is_gaussian_on_what_is_connected_in_units_of_the_rate(build, setting):
    model, pruner, optimizer = attached(build, setting, sparsity=0.1, noise=1e-3)
    optimizer.param_groups[0]["lr"] = 0.5
    before = {name: theta.clone() for name, theta in thetas_of(pruner).items()}
    pruner.after_step(model)
    moved = torch.cat(
        [(theta - before[n])[before[n] > 0.01] for n, theta in thetas_of(pruner).items()]
    )
    assert len(moved) > 900
    assert moved.std() == pytest.approx(0.5e-3, rel=0.1)
    assert abs(moved.mean()) < 5 * 0.5e-3 / math.sqrt(len(moved))
    for name, theta in thetas_of(pruner).items():
        born = theta[before[name] == 0]
        assert ((born == 0) | (born == NEWBORN)).all()


def test_a_connection_that_was_just_drawn_has_a_theta_of_1e_12(build, setting):
    model, pruner, _ = attached(build, setting, sparsity=0.5)
    for theta in thetas_of(pruner).values():
        theta[theta > 0] = -1.0  # all die
    pruner.after_step(model)
    born = torch.cat([theta[theta > 0] for theta in thetas_of(pruner).values()])
    assert len(born) == pruner.kept
    assert torch.equal(born, torch.full_like(born, 1e-12))


def test_signs_are_drawn_once_and_weights_keep_them(build, setting):
    model, pruner, optimizer = attached(build, setting)
    signs = {n: m.parametrizations.weight[0].sign.clone() for n, m in pruner.modules.items()}
    for name, sign in signs.items():
        assert set(sign.unique().tolist()) == {-1.0, 1.0}
        assert abs(sign.mean()) < 5 / math.sqrt(sign.numel()), name
    for number in range(5):
        draws = torch.Generator().manual_seed(number)
        for parameter in model.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=draws)
        optimizer.step()
        pruner.after_step(model)
    for name, weight in prunable_weights(model).items():
        assert torch.equal(weight.sign()[weight != 0], signs[name][weight != 0])


def test_connections_begin_as_magnitudes_of_he_s_normal_weights(setting):
    build = Architecture("digits_cnn", {"width": 16}, (1, 8, 8), 10, normalize=False).build
    _, pruner, _ = attached(build, setting, sparsity=0.5)
    for name, theta in thetas_of(pruner).items():
        first = theta[theta > NEWBORN]
        expected = math.sqrt(2 / theta[0].numel())
        assert first.square().mean().sqrt() == pytest.approx(expected, rel=0.25), name
        if len(first) > 1000:
            assert first.mean() == pytest.approx(expected * math.sqrt(2 / math.pi), rel=0.05)


def vgg(sparsity):
    model = Architecture("vgg16_bn", {}, (3, 32, 32), 10, normalize=False).build_empty()
    return densities(model, sparsity)


def densities(model, sparsity):
    sizes = {name: weight.numel() for name, weight in prunable_weights(model).items()}
    counts = initial_counts(sizes, kept_count(sum(sizes.values()), sparsity))
    assert all(counts[name] == int(counts[name]) for name in counts)
    return [counts[name] / size for name, size in sizes.items()]


def test_initial_densities_of_vgg_16_are_the_published_ones():
    expected = [0.6, 0.6, 0.2, 0.2, *[0.05] * 11, 0.6]
    assert vgg(0.9) == pytest.approx(expected, rel=0.01)


def test_initial_densities_of_a_resnet_are_the_published_ones():
    model = Architecture("resnet18", {}, (3, 32, 32), 10, normalize=False).build_empty()
    names = list(prunable_weights(model))
    found = dict(zip(names, densities(model, 0.9), strict=True))
    assert found.pop("conv1.weight") == pytest.approx(0.6, rel=0.01)
    assert found.pop("linear.weight") == pytest.approx(0.6, rel=0.01)
    first = [value for name, value in found.items() if name.startswith("layer1.")]
    rest = [value for name, value in found.items() if not name.startswith("layer1.")]
    assert first == pytest.approx([0.2] * 4, rel=0.01)
    assert rest == pytest.approx([0.05] * len(rest), rel=0.01)


def test_where_they_exceed_the_budget_those_of_a_density_of_their_own_give_way(build):
    sizes = {"a": 100, "b": 1000, "c": 100}  # 60 + 50 + 60 of a budget of 120
    counts = initial_counts(sizes, 120)
    assert counts == {"a": 35, "b": 50, "c": 35}
    assert initial_counts(sizes, 600) == {"a": 60, "b": 250, "c": 60}
    assert initial_density("a", 0, 3) == initial_density("c", 2, 3) == 0.6
    assert initial_density("b", 1, 3) is None


def test_births_add_up_and_fit_the_room_that_layers_have():
    stream = torch.Generator().manual_seed(0)
    given_ = allot(50, {"a": 10, "b": 0, "c": 45}, {"a": 900, "b": 90, "c": 10}, stream)
    assert given_ == {"a": 10, "b": 0, "c": 40}
    assert allot(0, {"a": 0}, {"a": 5}, stream) == {"a": 0}


def test_births_are_in_proportion_to_the_size_of_layers():
    """Of the layer, not of what it has free."""
    sizes, room = {"a": 100, "b": 300, "c": 600}, {"a": 10**6, "b": 10**6, "c": 10**6}
    counts = allot(20_000, room, sizes, torch.Generator().manual_seed(1))
    expected = {"a": 2000, "b": 6000, "c": 12000}
    chi_square = sum((counts[name] - n) ** 2 / n for name, n in expected.items())
    assert chi_square < 13.8  # 0.1 % of two degrees of freedom


def test_layers_drift_while_their_sum_stands_still(build, setting, tmp_path):
    pruner = Bcsp().pruner(0.8)
    model = build(0)
    pruner.attach(model, setting())
    before = counts_of(pruner)
    pruner, model = Bcsp().pruner(0.8), build(0)
    chosen = setting(PgdAt(steps=1), epochs=6, **PLAN)
    masks = prune(model, pruner, chosen, Checkpoint(tmp_path / "c", "job"), False).masks
    after = {name: int(mask.sum()) for name, mask in masks.items()}
    assert after != before
    assert sum(after.values()) == sum(before.values())


def test_another_stream_draws_other_connections_and_signs(build, setting):
    one, other = (attached(build, setting, stream=(seed, "test"))[1] for seed in (0, 1))
    again = attached(build, setting, stream=(0, "test"))[1]
    for name, theta in thetas_of(one).items():
        assert torch.equal(theta, thetas_of(again)[name])
        assert not torch.equal(theta, thetas_of(other)[name])

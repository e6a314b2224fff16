"""Gradient times weight, by hand and by gates."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from thin_ice.objectives.natural import Natural
from thin_ice.objectives.pgd_at import PgdAt
from thin_ice.pruning.prune import prune
from thin_ice.pruning.snip import Snip, SnipPruner, column_sums, gate_gradients
from thin_ice.sparsity.channels import channel_groups
from thin_ice.sparsity.masks import kept_count
from thin_ice.sparsity.prunable import prunable_weights


def looked(pruner, model, chosen, looks=1):
    for number in range(looks):
        pruner.look(model.eval(), chosen, number)
    return pruner.sensitivities


@pytest.fixture
def flat():
    """A network of one linear layer on 8x8 images."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(3))
    return model


def by_hand(model, images, labels):
    """|w dL/dw| of the mean cross-entropy of a linear layer."""
    slopes = (model(images).softmax(1) - F.one_hot(labels, 10)) / len(images)
    return (slopes.T @ images.flatten(1) * model[1].weight).abs().detach()


def test_sensitivities_by_hand_summed_over_batches(flat, setting):
    chosen = setting(Natural(), batch_size=16)
    found = looked(Snip().pruner(0.5), flat, chosen, looks=3)
    expected = sum(by_hand(flat, *chosen.batch(number)) for number in range(3))
    assert found.keys() == {"1.weight"}
    torch.testing.assert_close(found["1.weight"], expected)


def test_the_loss_is_the_run_s_own(flat, setting):
    clean, attacked = (
        looked(Snip().pruner(0.5), flat, setting(objective, batch_size=16))["1.weight"]
        for objective in (Natural(), PgdAt(steps=2))
    )
    assert not torch.allclose(clean, attacked, rtol=1e-3)


@pytest.mark.parametrize(("batches", "looks"), [(None, 3), (1, 1), (7, 7)])
@pytest.mark.parametrize("unit", Snip.units)
def test_it_looks_for_an_epoch_or_as_often_as_it_is_told(setting, batches, looks, unit):
    assert Snip(batches=batches).pruner(0.5, unit).looks(setting(batch_size=16)) == looks


@pytest.mark.parametrize("allocation", ["layer", "global"])
def test_the_most_sensitive_stay(build, setting, checkpoint, allocation):
    model, pruner = build(0), Snip(allocation=allocation).pruner(0.9)
    masks = prune(model, pruner, setting(Natural(), epochs=0), checkpoint).masks
    parts = [(pruner.sensitivities[n].flatten(), masks[n].flatten()) for n in masks]
    if allocation == "global":
        parts = [tuple(torch.cat(column) for column in zip(*parts, strict=True))]
    for scores, kept in parts:
        assert int(kept.sum()) == kept_count(kept.numel(), 0.9)
        assert scores[kept].min() > scores[~kept].max()


def test_a_channel_s_sensitivity_is_the_loss_s_slope_along_its_gate(build, setting):
    """A gate on what each reader takes in, the flattened map before the classifier included."""
    model, chosen = build(0).eval(), setting(Natural(), batch_size=16)
    images, labels = chosen.batch(0)
    found = looked(Snip().pruner(0.5, "filter"), model, chosen)
    readers = {"block1.conv": "block2.conv", "block2.conv": "block3.conv", "block3.conv": "linear"}
    assert list(found) == list(readers)
    for group, reader in readers.items():
        weight = model.get_submodule(reader).weight.detach()
        gate = torch.ones(len(model.get_submodule(group).weight), requires_grad=True)
        each = gate.repeat_interleave(weight.shape[1] // len(gate))
        gated = weight * each.view(1, -1, *[1] * (weight.ndim - 2))
        loss = F.cross_entropy(functional_call(model, {f"{reader}.weight": gated}, images), labels)
        (slope,) = torch.autograd.grad(loss, gate)
        torch.testing.assert_close(found[group], slope.abs(), rtol=1e-4, atol=1e-7)


def test_columns_of_all_readers_count(build, images):
    model = build(0)
    (group, *_) = channel_groups(model, images)
    twice = type(group)(group.name, group.size, (), (), group.consumers * 2)
    tensors = {name: weight.detach() for name, weight in prunable_weights(model).items()}
    torch.testing.assert_close(column_sums(twice, tensors), 2 * column_sums(group, tensors))


def test_gates_of_one_times_the_weights(flat, images, labels):
    loss = F.cross_entropy(flat(images), labels)
    (found,) = gate_gradients({"w": flat[1].weight}, loss).values()
    gate = torch.ones_like(flat[1].weight, requires_grad=True)
    gated = F.linear(images.flatten(1), flat[1].weight * gate, flat[1].bias)
    (expected,) = torch.autograd.grad(F.cross_entropy(gated, labels), gate)
    torch.testing.assert_close(found, expected)


def test_the_state_is_the_sum_so_far(flat, setting):
    chosen = setting(Natural(), batch_size=16)
    pruner = Snip().pruner(0.5)
    looked(pruner, flat, chosen, looks=2)
    other = SnipPruner(Snip(), 0.5)
    other.restore(pruner.state())
    assert torch.equal(other.sensitivities["1.weight"], pruner.sensitivities["1.weight"])

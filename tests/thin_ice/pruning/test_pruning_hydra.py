"""HYDRA learns scores and nothing else but batch norm."""

import dataclasses
import math

import pytest
import torch
from torch.nn.utils import parametrize

from thin_ice.checkpoint import Checkpoint
from thin_ice.objectives.trades import Trades
from thin_ice.pruning.hydra import Hydra, HydraPruner, random_scores
from thin_ice.pruning.lwm import Lwm
from thin_ice.pruning.prune import prune
from thin_ice.pruning.scores import scaled_scores
from thin_ice.sparsity.parametrizations import TopKScore
from thin_ice.training.fit import fit


def test_scaled_scores_by_hand():
    convolution = torch.tensor([[[[1.0, -2.0]], [[0.5, 4.0]]]])  # one filter of 2 x 1 x 2: fan-in 4
    expected = math.sqrt(6 / 4) * torch.tensor([[[[0.25, -0.5]], [[0.125, 1.0]]]])
    torch.testing.assert_close(scaled_scores(convolution), expected)
    linear = torch.tensor([[3.0, -6.0, 1.5], [0.0, 1.0, 2.0]])
    torch.testing.assert_close(scaled_scores(linear), math.sqrt(6 / 3) * linear / 6)


def test_random_scores_are_kaiming_uniform_and_named_by_layer():
    weight = torch.ones(64, 16, 3, 3)
    scores = random_scores(weight, "layer1.weight")
    bound = 1 / math.sqrt(16 * 9)
    assert scores.abs().max() <= bound
    assert scores.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)
    assert torch.equal(scores, random_scores(weight, "layer1.weight"))
    assert not torch.equal(scores, random_scores(weight, "layer2.weight"))


@pytest.mark.parametrize("sparsity", [0.5, 0.9, 0.99])
def test_the_first_mask_is_magnitude_pruning(build, setting, checkpoint, sparsity):
    pruned = prune(build(0), Hydra().pruner(sparsity), setting(epochs=0), checkpoint)
    magnitude = Lwm().pruner(sparsity).finish(build(0))
    assert pruned.masks.keys() == magnitude.keys()
    assert all(torch.equal(pruned.masks[name], magnitude[name]) for name in magnitude)


def test_another_seed_of_the_study_starts_from_other_random_scores(build, setting):
    found = []
    for seed in (0, 0, 1):
        model = build(0)
        chosen = dataclasses.replace(setting(), stream=(seed, "prune"))
        Hydra(scores="random").pruner(0.5).attach(model, chosen)
        found.append(model.linear.parametrizations.weight[0].scores)
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_random_scores_start_elsewhere(build, setting, checkpoint):
    pruned = prune(build(0), Hydra(scores="random").pruner(0.5), setting(epochs=0), checkpoint)
    magnitude = Lwm().pruner(0.5).finish(build(0))
    agreement = (pruned.masks["linear.weight"] == magnitude["linear.weight"]).float().mean()
    assert 0.35 < agreement < 0.65


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_only_scores_and_batch_norm_train(build, setting, checkpoint, precision):
    model, before = build(0), build(0).state_dict()
    pruner = HydraPruner(Hydra(), 0.8)
    pruner.attach(model, setting())
    scores = {
        name: module.scores.detach().clone()
        for name, module in model.named_modules()
        if isinstance(module, TopKScore)
    }
    chosen = setting(Trades(steps=1), select="last", precision=precision, weight_decay=0.0)
    fit(model, chosen, pruner, checkpoint)
    for name, parameter in model.named_parameters():
        plain = name.replace("parametrizations.weight.original", "weight")
        if name.endswith("scores"):
            assert not torch.equal(parameter, scores[name.removesuffix(".scores")])
        elif ".bn." in name:
            assert not torch.equal(parameter, before[plain])
        else:
            assert torch.equal(parameter, before[plain]), f"{name} moved"
            assert parameter.grad is None
    assert len(scores) == 4


def test_the_masked_weights_are_the_dense_ones_bit_for_bit(build, setting, checkpoint):
    model, before = build(0), build(0).state_dict()
    pruned = prune(model, Hydra().pruner(0.8), setting(select="last", lr=0.1), checkpoint)
    for name, mask in pruned.masks.items():
        assert torch.equal(model.state_dict()[name], before[name] * mask)
    assert torch.equal(model.linear.bias, before["linear.bias"])


def test_learning_moves_the_mask_away_from_magnitudes(build, setting, checkpoint):
    chosen = setting(Trades(steps=1), epochs=4, lr=0.5, select="last")
    pruned = prune(build(0), Hydra().pruner(0.5), chosen, checkpoint)
    magnitude = Lwm().pruner(0.5).finish(build(0))
    assert any(not torch.equal(pruned.masks[name], magnitude[name]) for name in magnitude)


def test_weight_decay_applies_to_the_scores(build, setting, tmp_path):
    norms = []
    for decay in (0.0, 5.0):
        model, pruner = build(0), HydraPruner(Hydra(), 0.5)
        pruner.attach(model, setting())
        chosen = setting(epochs=1, lr=0.01, weight_decay=decay, select="last")
        fit(model, chosen, pruner, Checkpoint(tmp_path / str(decay), "job"))
        norms.append(model.linear.parametrizations.weight[0].scores.norm().item())
    assert norms[1] < 0.95 * norms[0]


def test_masks_are_computed_once_a_step_and_once_a_validation(build, setting, checkpoint):
    model, pruner, calls = build(0), HydraPruner(Hydra(), 0.5), []
    pruner.attach(model, setting())
    carrier = model.linear.parametrizations.weight[0]
    carrier.register_forward_hook(lambda *_: calls.append(model.training))
    fit(model, setting(Trades(steps=3), epochs=2), pruner, checkpoint)
    assert calls == [True, True, True, False] * 2  # 33 samples in batches of up to 16


def test_step_equals_a_plain_step_with_masks_computed_in_every_forward_pass(
    build, setting, checkpoint
):
    """One step of SGD on the scores, against autograd on w * m written out."""
    chosen = setting(epochs=1, train=16, momentum=0.0, weight_decay=0.0, select="last")
    model, pruner, plain = build(0), HydraPruner(Hydra(), 0.5), build(0)
    pruner.attach(model, setting())
    score = model.linear.parametrizations.weight[0]
    before, mask = score.scores.detach().clone(), score.mask()
    rates = [row["lr"] for row in fit(model, chosen, pruner, checkpoint)]

    for name, dense in Lwm().pruner(0.5).finish(build(0)).items():
        module = plain.get_submodule(name.removesuffix(".weight"))
        module.weight.data.mul_(dense)
    weight = build(0).linear.weight.detach()
    soft = mask.float().requires_grad_(True)
    features = plain[:-1](chosen.train.floats())
    logits = torch.nn.functional.linear(features, weight * soft, plain.linear.bias)
    torch.nn.functional.cross_entropy(logits, chosen.train.labels).backward()
    expected = before - rates[0] * before.sign() * soft.grad
    torch.testing.assert_close(score.scores.detach(), expected, rtol=1e-4, atol=1e-7)
    assert parametrize.is_parametrized(model.linear, "weight")

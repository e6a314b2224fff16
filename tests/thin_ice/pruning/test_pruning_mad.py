"""MAD: soft masks, saliencies and what is pruned by them, by hand."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from thin_ice.objectives.natural import Natural
from thin_ice.objectives.pgd_at import PgdAt
from thin_ice.pruning import mad
from thin_ice.pruning.mad import Mad, MadPruner, damage, fit_soft_masks, masked_tensors
from thin_ice.pruning.prune import prune
from thin_ice.sparsity.masks import kept_count
from thin_ice.sparsity.prunable import prunable_modules
from thin_ice.study.load import study_from


def linear(weight, bias):
    model = nn.Sequential(nn.Linear(*reversed(np.shape(weight))))
    with torch.no_grad():
        model[0].weight.copy_(torch.as_tensor(weight))
        model[0].bias.copy_(torch.as_tensor(bias))
    return model


@pytest.fixture
def model():
    return linear([[1.0, -2.0, 0.5], [0.3, 1.5, -1.0]], [0.2, -0.4])


@pytest.fixture
def batch():
    return torch.tensor([[0.5, 1.0, 0.25], [1.0, 0.1, 0.8]]), torch.tensor([1, 0])


def masks_after(model, batch, steps, rate=0.1):
    tensors = masked_tensors(model, prunable_modules(model))
    return tensors, fit_soft_masks(model, tensors, *batch, steps, rate)


def test_a_mask_begins_at_exactly_one(model, batch):
    tensors, masks = masks_after(model, batch, steps=0)
    assert tensors.keys() == masks.keys() == {"0.weight", "0.bias"}
    assert all((mask == 1).all() for mask in masks.values())


def test_the_first_step_lowers_what_harms_and_clamps_what_helps_at_one(model, batch):
    images, labels = batch
    slope = (model(images).softmax(1) - F.one_hot(labels, 2)).detach() / 2
    gradients = {"0.weight": slope.T @ images, "0.bias": slope.sum(0)}
    tensors, masks = masks_after(model, batch, steps=1)
    lowered = math.log1p((math.e - 1) * math.exp(-0.1))  # softplus(mu - 0.1) from softplus(mu) = 1
    harms = {name: gradients[name] * tensors[name] > 0 for name in masks}
    assert {bool(harm) for harm in harms["0.weight"].flatten()} == {True, False}
    for name, mask in masks.items():
        torch.testing.assert_close(mask, torch.where(harms[name], lowered, 1.0))


def test_a_mask_ends_at_its_floor(model, batch):
    _, masks = masks_after(model, batch, steps=3, rate=50.0)
    values = torch.cat([mask.flatten() for mask in masks.values()])
    assert values.min().item() == pytest.approx(1e-4, rel=1e-3)
    assert values.max().item() == 1.0


def test_steps_are_adam_s(model, batch):
    """Four of them against the update rule written out, with beta 0.9 and 0.999."""
    images, labels = batch
    weight, bias = (p.detach().double() for p in model.parameters())
    top, bottom = math.log(math.expm1(1)), math.log(math.expm1(1e-4))
    mu = [torch.full_like(weight, top), torch.full_like(bias, top)]
    first, second = ([torch.zeros_like(m) for m in mu] for _ in range(2))
    for step in range(1, 5):
        leaves = [m.clone().requires_grad_() for m in mu]
        masked = [t * F.softplus(m) for t, m in zip((weight, bias), leaves, strict=True)]
        loss = F.cross_entropy(F.linear(images.double(), *masked), labels)
        for i, gradient in enumerate(torch.autograd.grad(loss, leaves)):
            first[i] = 0.9 * first[i] + 0.1 * gradient
            second[i] = 0.999 * second[i] + 0.001 * gradient.square()
            speed = (second[i] / (1 - 0.999**step)).sqrt() + 1e-8
            mu[i] = (mu[i] - 0.1 * first[i] / (1 - 0.9**step) / speed).clamp(bottom, top)
    _, masks = masks_after(model, batch, steps=4)
    for mask, value in zip(masks.values(), mu, strict=True):
        torch.testing.assert_close(mask.double(), F.softplus(value), rtol=1e-5, atol=1e-6)


def test_damage_by_hand_weight_by_weight():
    stream = torch.Generator().manual_seed(0)
    change = torch.randn(3, 4, generator=stream, dtype=torch.float64)
    a, g = (torch.randn(n, n, generator=stream, dtype=torch.float64) for n in (4, 3))
    a, g = a @ a.T, g @ g.T
    found = damage(change, a, g)
    for i in range(3):
        for j in range(4):
            expected = sum(0.5 * g[i, i] * change[i, j] * a[j, k] * change[i, k] for k in range(4))
            assert found[i, j].item() == pytest.approx(expected.item())
    diagonal = torch.kron(torch.diag(g.diagonal()), a)
    quadratic = 0.5 * change.flatten() @ diagonal @ change.flatten()
    assert found.sum().item() == pytest.approx(quadratic.item())
    outer = torch.stack(
        [0.5 * g[i, i] * torch.outer(d, d @ a).diagonal() for i, d in enumerate(change)]
    )
    torch.testing.assert_close(found, outer)  # as the released code has it


def test_a_look_by_hand(model, setting):
    """The masked network's own factors, biases among them; averaged by nobody yet."""
    chosen = setting(Natural(), batch_size=16)
    model = linear(
        *(
            0.1 * torch.randn(s, generator=torch.Generator().manual_seed(1))
            for s in ((10, 64), (10,))
        )
    )
    model.insert(0, nn.Flatten())
    pruner = Mad(mask_steps=3).pruner(0.5)
    pruner.look(model, chosen, 0)
    images, labels = chosen.batch(0)
    tensors = masked_tensors(model, prunable_modules(model))
    masks = fit_soft_masks(model, tensors, images, labels, 3, 0.1)
    weight, bias = (tensors[name] * masks[name] for name in ("1.weight", "1.bias"))
    rows = torch.cat([images.flatten(1), torch.ones(len(images), 1)], dim=1)
    slopes = F.linear(images.flatten(1), weight, bias).softmax(1) - F.one_hot(labels, 10)
    a, g = rows.T @ rows / len(images), slopes.square().mean(0)
    change = [tensors[name] - value for name, value in (("1.weight", weight), ("1.bias", bias))]
    change = torch.cat([change[0], change[1][:, None]], dim=1)
    expected = 0.5 * g[:, None] * change * (change @ a)
    assert pruner.saliencies.keys() == {"1.weight"}
    torch.testing.assert_close(pruner.saliencies["1.weight"], expected[:, :-1])
    once = pruner.saliencies["1.weight"].clone()
    pruner.look(model, chosen, 1)
    other = Mad(mask_steps=3).pruner(0.5)
    other.look(model, chosen, 1)
    assert torch.equal(pruner.saliencies["1.weight"], once + other.saliencies["1.weight"])


def test_a_look_attacks_the_dense_network_with_the_run_s_own_adversary(build, setting, monkeypatch):
    """And both the masks and the factors are those of the attacked images."""
    seen = {}

    def note(name, place):
        function = getattr(mad, name)
        watched = lambda *given: seen.update({name: given[place]}) or function(*given)  # noqa: E731
        monkeypatch.setattr(mad, name, watched)

    note("fit_soft_masks", 2)
    note("masked_damage", 4)
    chosen, model = setting(PgdAt(steps=2), batch_size=16), build(0).eval()
    Mad(mask_steps=1).pruner(0.5).look(model, chosen, 1)
    images, labels = chosen.batch(1)
    assert seen.keys() == {"fit_soft_masks", "masked_damage"}
    for used in seen.values():
        assert torch.equal(used, chosen.adversarial(model, images, labels, 1))
        assert not torch.equal(used, images)


@pytest.mark.parametrize(("batches", "looks"), [(None, 3), (1, 1), (7, 7)])
def test_it_looks_for_an_epoch_or_as_often_as_it_is_told(setting, batches, looks):
    assert Mad(batches=batches).pruner(0.5).looks(setting(batch_size=16)) == looks


def planted(model, seed=0):
    """A saliency for every weight, of either sign and another scale in each layer."""
    stream = torch.Generator().manual_seed(seed)
    return {
        name: 10.0**place * torch.randn(module.weight.shape, generator=stream)
        for place, (name, module) in enumerate(prunable_modules(model).items())
    }


def finished(build, sparsity, **options):
    model, pruner = build(0), MadPruner(Mad(**options), sparsity)
    pruner.restore(planted(model))
    return pruner.saliencies, pruner.finish(model)


@pytest.mark.parametrize("sparsity", [0.5, 0.9, 0.99])
def test_convolutions_share_one_threshold_signs_included(build, sparsity):
    saliencies, masks = finished(build, sparsity)
    *convolutions, _ = masks
    values, kept = (
        torch.cat([part[name].flatten() for name in convolutions]) for part in (saliencies, masks)
    )
    assert int(kept.sum()) == kept_count(kept.numel(), sparsity)
    assert values[kept].min() > values[~kept].max()


@pytest.mark.parametrize("sparsity", [0.5, 0.9, 0.99])
def test_of_a_linear_layer_every_row_keeps_its_largest_and_the_budget_is_exact(build, sparsity):
    saliencies, masks = finished(build, sparsity)
    values, kept = saliencies["linear.weight"], masks["linear.weight"]
    assert int(kept.sum()) == kept_count(kept.numel(), sparsity)
    counts = kept.sum(1)
    assert int(counts.max()) - int(counts.min()) <= 1
    assert int(counts.min()) >= int(kept.sum()) // 10
    for row, stays in zip(values, kept, strict=True):
        if stays.any():
            assert row[stays].min() > row[~stays].max()


def test_each_convolution_can_have_the_same_share(build):
    _, masks = finished(build, 0.9, allocation="layer")
    assert all(int(m.sum()) == kept_count(m.numel(), 0.9) for m in masks.values())


def test_biases_stay(build, setting, checkpoint):
    model = build(0)
    before = model.linear.bias.detach().clone()
    prune(model, Mad(mask_steps=1).pruner(0.9), setting(epochs=0), checkpoint)
    assert torch.equal(model.linear.bias, before)


def test_it_is_fine_tuned_with_mart_unless_a_study_says_otherwise(miniature):
    def resolved(**given):
        miniature["methods"] = {"mad": given}
        return study_from(miniature).resolved["methods"]["mad"]

    assert resolved()["prune_objective"] is None
    objective = resolved()["finetune_objective"]
    assert objective["kind"] == "mart"
    assert objective["options"] == {"beta": 0.5, "steps": 10, "rel_step": 0.23}
    assert resolved(finetune_objective=None)["finetune_objective"] is None

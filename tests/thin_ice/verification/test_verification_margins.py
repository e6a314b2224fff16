"""What Margins promises: the network's logits, gradients, running statistics, one interval pass."""

import copy

import pytest
import torch
from small_models import SMALL, architecture, built
from torch import nn
from torch.nn.utils import parametrize

from thin_ice import tables
from thin_ice.attacks.threat import ThreatModel
from thin_ice.models.stored import load_stored, save_stored
from thin_ice.sparsity.compact import compact
from thin_ice.sparsity.parametrizations import FixedMask, TopKScore, fix_masks
from thin_ice.verification import bounds as bounds_module
from thin_ice.verification.margins import METHODS, Margins

THREAT = ThreatModel("Linf", 0.01)


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("kind", sorted(tables.ARCHITECTURES))
def test_every_architecture_is_bounded_and_keeps_its_logits(kind, normalize):
    model, images, labels = built(kind, normalize)
    expected = model(images)
    margins = Margins(model, images, labels, THREAT)
    assert torch.equal(margins.logits, expected)
    nominal = expected.gather(1, labels[:, None]) - expected
    for method in ("ibp", "crown_ibp"):
        lower = margins.lower(method)
        assert lower.shape == (3, 4)
        assert (lower.gather(1, labels[:, None]) == 0).all()
        assert (lower <= nominal + 1e-4 * expected.abs().max()).all()
        gradients = torch.autograd.grad(lower.sum(), list(model.parameters()), retain_graph=True)
        assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("kind", ["digits_cnn", "wrn"])
def test_at_radius_zero_every_bound_is_the_margin(kind):
    model, images, labels = built(kind, normalize=True, dtype=torch.float64)
    logits = model(images)
    for method in METHODS:
        lower = Margins(model, images, labels, ThreatModel("Linf", 0.0)).lower(method)
        torch.testing.assert_close(lower, logits.gather(1, labels[:, None]) - logits)


@pytest.mark.parametrize("kind", sorted(SMALL))
def test_training_moves_running_statistics_as_one_forward_pass_does(kind):
    model, images, labels = built(kind)
    model.train()
    twin = copy.deepcopy(model)
    expected = twin(images)
    margins = Margins(model, images, labels, THREAT)
    assert torch.equal(margins.logits, expected)
    for method in ("ibp", "crown_ibp"):
        margins.lower(method)
    for (name, moved), other in zip(model.named_buffers(), twin.buffers(), strict=True):
        assert torch.equal(moved, other), name


@pytest.mark.parametrize("method", METHODS)
def test_in_training_mode_bounds_are_those_with_the_batch_s_statistics(method):
    model, images, labels = built("digits_cnn", dtype=torch.float64)
    model.train()
    found = Margins(model, images, labels, THREAT).lower(method)
    frozen, hooks = copy.deepcopy(model), []
    for module in frozen.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
            hooks.append(module.register_forward_hook(_biased))
    frozen(images)
    for hook in hooks:
        hook.remove()
    expected = Margins(frozen.eval(), images, labels, THREAT).lower(method)
    torch.testing.assert_close(found, expected)


def _biased(module, inputs, _):
    """Running variances are unbiased; a batch is normalised with biased ones."""
    values = inputs[0].numel() / inputs[0].shape[1]
    module.running_var.mul_((values - 1) / values)


def masked(model, seed=0):
    stream = torch.Generator().manual_seed(seed)
    weights = {n: p for n, p in model.named_parameters() if p.dim() > 1}
    masks = {n: torch.rand(p.shape, generator=stream) < 0.5 for n, p in weights.items()}
    fix_masks(model, masks)
    return model


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("change", [nn.Module.eval, nn.Module.train, masked])
@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_gradients_are_those_of_finite_differences(method, change, norm):
    model, images, labels = built("digits_cnn", normalize=True, dtype=torch.float64)
    model = change(model)
    parameters = list(model.parameters())
    stream = torch.Generator().manual_seed(2)
    weights = torch.randn(3, 4, generator=stream, dtype=torch.float64)

    def loss():
        lower = Margins(model, images, labels, ThreatModel(norm, 0.05)).lower(method)
        return (lower * weights).sum()

    gradients = torch.autograd.grad(loss(), parameters)
    for _ in range(3):
        steps = [1e-6 * torch.randn(p.shape, generator=stream) for p in parameters]
        with torch.no_grad():
            values = []
            for direction in (1, -2):
                for parameter, step in zip(parameters, steps, strict=True):
                    parameter.add_(direction * step)
                values.append(loss())
            for parameter, step in zip(parameters, steps, strict=True):
                parameter.add_(step)
        expected = sum((g * s).sum() for g, s in zip(gradients, steps, strict=True))
        torch.testing.assert_close((values[0] - values[1]) / 2, expected, rtol=1e-3, atol=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_scores_get_the_masked_weight_s_gradient_straight_through(method):
    model, images, labels = built("cnn_small", dtype=torch.float64)
    weight = model.conv2.weight.detach().clone()
    scores = torch.randn(weight.shape, generator=torch.Generator().manual_seed(3)).double()
    scored, plain = copy.deepcopy(model), copy.deepcopy(model)
    parametrize.register_parametrization(scored.conv2, "weight", TopKScore(scores, 40))
    mask = scored.conv2.parametrizations.weight[0].mask()
    with torch.no_grad():
        plain.conv2.weight.mul_(mask)
    lower = [Margins(m, images, labels, THREAT).lower(method) for m in (scored, plain)]
    assert torch.equal(*lower)
    (of_scores,) = torch.autograd.grad(
        lower[0].sum(), scored.conv2.parametrizations.weight[0].scores
    )
    (of_weight,) = torch.autograd.grad(lower[1].sum(), plain.conv2.weight)
    torch.testing.assert_close(of_scores, of_weight * weight * scores.sign())


def test_masks_change_between_two_calls():
    model, images, labels = built("cnn_small")
    before = Margins(model, images, labels, THREAT).lower("ibp")
    mask = torch.zeros_like(model.conv1.weight, dtype=torch.bool)
    parametrize.register_parametrization(model.conv1, "weight", FixedMask(mask))
    after = Margins(model, images, labels, THREAT)
    assert torch.equal(after.logits, model(images))
    assert not torch.equal(after.lower("ibp"), before)


def test_a_compact_network_has_the_bounds_of_the_pruned_one(tmp_path):
    chosen = architecture("digits_cnn", normalize=True)
    model, images, labels = built("digits_cnn", normalize=True)
    with torch.no_grad():
        for layer in (model.network.block2.conv, model.network.block3.conv):
            layer.weight[:, ::2] = 0
    smaller = compact(model, images[:1]).model
    save_stored(tmp_path / "stored", smaller, chosen)
    for other in (smaller, load_stored(tmp_path / "stored").model):
        assert other.network.block1.conv.weight.shape[0] == 1
        for method in METHODS:
            expected = Margins(model, images, labels, THREAT).lower(method)
            found = Margins(other, images, labels, THREAT).lower(method)
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_ibp_and_crown_ibp_share_one_interval_pass(monkeypatch):
    passes = []
    propagate = bounds_module.Bounds._propagate
    monkeypatch.setattr(
        bounds_module.Bounds,
        "_propagate",
        lambda self, tightened: passes.append(tightened) or propagate(self, tightened),
    )
    model, images, labels = built("digits_cnn")
    margins = Margins(model, images, labels, THREAT)
    margins.lower("ibp")
    margins.lower("crown_ibp")
    assert passes == [False]
    margins.lower("crown")
    margins.lower("crown")
    assert passes == [False, True]


@pytest.mark.parametrize("largest", [1, 500, 10_000])
def test_bounds_do_not_depend_on_how_much_memory_they_may_use(largest):
    model, images, _ = built("digits_cnn", dtype=torch.float64)
    network = bounds_module.network_of(model, images, images.dtype)
    eps = torch.full((3,), 0.05, dtype=torch.float64)
    region = bounds_module.Region(images, "Linf", eps)
    slopes = torch.eye(4, dtype=torch.float64).expand(3, 4, 4)
    expected = bounds_module.Bounds(network, region).least(slopes, "crown")
    found = bounds_module.Bounds(network, region, largest).least(slopes, "crown")
    torch.testing.assert_close(found, expected)


def test_one_image_has_the_bounds_that_it_has_in_a_batch():
    for method, kind in (("ibp", "wrn"), ("crown_ibp", "wrn"), ("crown", "digits_cnn")):
        model, images, labels = built(kind, dtype=torch.float64)
        together = Margins(model, images, labels, THREAT).lower(method)
        alone = Margins(model, images[1:2], labels[1:2], THREAT).lower(method)
        torch.testing.assert_close(alone[0], together[1])


def test_bounds_are_in_the_images_precision_under_autocast_too():
    model, images, labels = built("cnn_small")
    expected = Margins(model, images, labels, THREAT).lower("crown_ibp")
    with torch.autocast("cpu", torch.bfloat16):
        margins = Margins(model, images, labels, THREAT)
        found = margins.lower("crown_ibp")
        assert torch.equal(margins.logits, model(images))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected)


def test_an_unknown_method_is_refused():
    model, images, labels = built("cnn_small")
    with pytest.raises(ValueError, match=r"'symbolic', allowed are ibp, crown_ibp, crown"):
        Margins(model, images, labels, THREAT).lower("symbolic")

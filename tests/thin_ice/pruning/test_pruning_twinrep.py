"""TwinRep: products of factors, pruned once on the way."""

import pytest
import torch

from thin_ice.checkpoint import Checkpoint
from thin_ice.objectives.natural import Natural
from thin_ice.pruning.prune import prune
from thin_ice.pruning.twinrep import TwinRep
from thin_ice.sparsity.channels import channel_groups, row_norms
from thin_ice.sparsity.masks import global_masks, kept_count, layerwise_masks
from thin_ice.sparsity.prunable import prunable_weights
from thin_ice.training.fit import fit

UNITS = ("weight", "filter")


@pytest.mark.parametrize("unit", UNITS)
def test_training_begins_with_the_network_as_initialised_and_trains_both_factors(
    build, setting, images, labels, unit
):
    model, plain = build(0).eval(), build(0).eval()
    TwinRep().pruner(0.5, unit).attach(model, setting())
    assert torch.allclose(model(images), plain(images), atol=1e-5)
    Natural().loss(model, images, labels, setting().step("x", progress=0.0)).value.backward()
    for name in prunable_weights(plain):
        module = model.get_submodule(name.removesuffix(".weight"))
        factors = [p for n, p in module.parametrizations.weight.named_parameters()]
        assert len(factors) == 2
        assert all(factor.grad.any() for factor in factors)


def watched(build, setting, tmp_path, unit="weight", epochs=10, options=None, **plan):
    """A run: the masks when each epoch ends, whether it might be chosen, and what came of it."""
    pruner, model = TwinRep(**options or {}).pruner(0.8, unit), build(0)
    seen, after = [], pruner.after_epoch

    def noting(network, epoch):
        after(network, epoch)
        seen.append((pruner.eligible, dict(pruner.kept)))

    pruner.after_epoch = noting
    chosen = setting(epochs=epochs, lr=0.05, **plan)
    pruned = prune(model, pruner, chosen, Checkpoint(tmp_path / "c", "job"), False)
    return model, pruner, pruned, seen


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize(
    ("epochs", "prune_at", "first"), [(10, 0.1, 1), (10, 0.35, 4), (2, 1.0, 1), (4, 0.0, 0)]
)
def test_it_is_pruned_once_and_no_epoch_before_that_may_be_chosen(
    build, setting, tmp_path, unit, epochs, prune_at, first
):
    options = {"prune_at": prune_at}
    _, _, pruned, seen = watched(build, setting, tmp_path, unit, epochs, options)
    assert [eligible for eligible, _ in seen] == [epoch >= first for epoch in range(epochs)]
    assert [row["eligible"] for row in pruned.history] == [int(e) for e, _ in seen]
    masks = [kept for eligible, kept in seen if eligible]
    assert all(torch.equal(m[name], masks[0][name]) for m in masks for name in masks[0])


@pytest.mark.parametrize("allocation", ["global", "layer"])
def test_the_largest_products_stay(build, setting, allocation):
    model, pruner = build(0), TwinRep(allocation=allocation).pruner(0.8)
    pruner.attach(model, setting())
    with torch.no_grad():
        for number, name in enumerate(prunable_weights(model)):
            module = model.get_submodule(name.removesuffix(".weight"))
            draws = torch.Generator().manual_seed(number)
            for factor in (
                module.parametrizations.weight.original0,
                module.parametrizations.weight.original1,
            ):
                factor.copy_(torch.randn(factor.shape, generator=draws))
    products = {name: weight.detach().abs() for name, weight in prunable_weights(model).items()}
    expected = {"global": global_masks, "layer": layerwise_masks}[allocation](products, 0.8)
    found = pruner.finish(model)
    assert all(torch.equal(found[name], mask) for name, mask in expected.items())
    assert all(not w[~found[name]].any() for name, w in prunable_weights(model).items())


def test_what_was_pruned_stays_zero_and_the_rest_trains_on(build, setting, tmp_path):
    model, _, pruned, _ = watched(build, setting, tmp_path, select="last")
    weights = prunable_weights(model)
    size = sum(weight.numel() for weight in weights.values())
    assert sum(int(mask.sum()) for mask in pruned.masks.values()) == kept_count(size, 0.8)
    for name, mask in pruned.masks.items():
        assert torch.equal(weights[name] != 0, mask)


def test_channels_of_largest_norm_stay_each_group_with_its_largest(build, setting):
    model, pruner = build(0), TwinRep().pruner(0.5, "filter")
    pruner.attach(model, setting())
    with torch.no_grad():
        for name in ("block1", "block2", "block3"):
            mixing = model.get_submodule(f"{name}.conv").parametrizations.weight.original0
            mixing.mul_(torch.linspace(0.1, 2, len(mixing)).unsqueeze(1))
    plain = build(0)
    groups = channel_groups(plain, setting().example)
    norms = {group.name: row_norms(group, model, order=2).detach() for group in groups}
    pruner.finish(model)
    for group in groups:
        kept, norm = pruner.kept[group.name], norms[group.name]
        assert kept[norm.argmax()]
        assert norm[kept].min() >= norm[~kept].max() if (~kept).any() else True
    total = sum(group.size for group in groups)
    assert sum(int(kept.sum()) for kept in pruner.kept.values()) == kept_count(total, 0.5)


def test_of_channels_norms_compare_after_division_by_their_group_s_mean(build, setting):
    """So that a layer of large weights does not keep all of its channels."""
    kept = []
    for scale in (1.0, 100.0):
        model, pruner = build(0), TwinRep().pruner(0.5, "filter")
        pruner.attach(model, setting())
        with torch.no_grad():
            model.block1.conv.parametrizations.weight.original1.mul_(scale)
        pruner.finish(model)
        kept.append(pruner.kept)
    assert all(torch.equal(kept[0][name], kept[1][name]) for name in kept[0])


def test_weight_decay_is_on_both_factors(build, setting, checkpoint):
    """Without a gradient's pull both shrink alike."""
    model, pruner = build(0), TwinRep().pruner(0.5)
    chosen = setting(epochs=1, weight_decay=0.5, lr=0.1, momentum=0.0, train=16)
    pruner.attach(model, chosen)
    module = model.linear
    pair = [p.detach().clone() for p in module.parametrizations.weight.parameters()]
    plain = build(0)
    twin = TwinRep().pruner(0.5)
    twin.attach(plain, chosen)
    fit(model, chosen, pruner, checkpoint)
    fit(plain, setting(epochs=1, weight_decay=0.0, lr=0.1, momentum=0.0, train=16), twin,
        Checkpoint(checkpoint.path.with_name("other"), "job"))  # fmt: skip
    for first, with_, without in zip(
        pair,
        module.parametrizations.weight.parameters(),
        plain.linear.parametrizations.weight.parameters(),
        strict=True,
    ):
        assert torch.allclose(without - with_, 0.1 * 0.5 * first, atol=1e-5)

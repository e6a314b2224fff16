"""Laws that every pruning method of the table keeps."""

import dataclasses

import pytest
import torch
from torch import nn

from thin_ice import tables
from thin_ice.attacks.protocols import PROTOCOLS
from thin_ice.checkpoint import Checkpoint
from thin_ice.objectives.trades import Trades
from thin_ice.pruning.base import Pruner
from thin_ice.pruning.lwm import Lwm, LwmPruner
from thin_ice.pruning.prune import ExportChanged, prune
from thin_ice.sparsity.channels import channel_groups
from thin_ice.sparsity.masks import kept_count
from thin_ice.sparsity.parametrizations import FixedMask, fix_masks, parametrized_modules
from thin_ice.sparsity.prunable import prunable_weights
from thin_ice.study.options import entry
from thin_ice.training.plan import Plan

walks = pytest.mark.parametrize("name", tables.METHODS)
UNITS = [(name, unit) for name in tables.METHODS for unit in tables.load("methods", name).units]
walks_units = pytest.mark.parametrize(("name", "unit"), UNITS)
SPARSITIES = [0.5, 0.9, 0.99]
TOGETHER = {"harp"}  # whose layers share one budget


def method(name, **options):
    return tables.load("methods", name)(**options)


def plan_of(name, epochs=2):
    """The method's published plan of pruning, cut to a few epochs where it trains at all."""
    plan = dict(method(name).prune_plan)
    return plan | {"epochs": min(epochs, plan.get("epochs", epochs)), "batch_size": 16}


def images():
    return torch.rand(10, 1, 8, 8, generator=torch.Generator().manual_seed(7))


@torch.no_grad()
def logits(model):
    modes = {module: module.training for module in model.modules()}
    found = model.eval()(images())
    for module, training in modes.items():
        module.training = training
    return found


def pruned_by(name, sparsity, build, setting, checkpoint, unit="weight", **options):
    """The model after the stage, what the stage returned, and the pruner's own last logits."""
    model, pruner = build(0), method(name, **options).pruner(sparsity, unit)
    finish, own = pruner.finish, []

    def watched(network):
        masks = finish(network)
        own.append(logits(network))
        return masks

    pruner.finish = watched
    pruned = prune(model, pruner, setting(Trades(steps=1), **plan_of(name)), checkpoint)
    return model, pruned, own[0]


def assert_budget(masks, sparsity, together):
    """Met to the last weight by each layer, or by all of them together."""
    for group in [masks] if together else [[mask] for mask in masks]:
        size = sum(mask.numel() for mask in group)
        kept = sum(int(mask.sum()) for mask in group)
        assert kept == kept_count(size, sparsity)
        assert abs(size - kept - sparsity * size) < 1


@walks
@pytest.mark.parametrize("sparsity", SPARSITIES)
def test_each_layer_meets_its_budget_and_zeros_are_exactly_where_masked(
    build, setting, checkpoint, name, sparsity
):
    model, pruned, own = pruned_by(name, sparsity, build, setting, checkpoint)
    layers = method(name).layers
    weights = prunable_weights(model, layers)
    assert list(pruned.masks) == list(weights)
    for layer, weight in weights.items():
        mask = pruned.masks[layer]
        assert mask.dtype == torch.bool
        assert mask.shape == weight.shape
        assert torch.equal(weight != 0, mask)
    assert_budget(list(pruned.masks.values()), sparsity, name in TOGETHER)
    assert torch.equal(logits(model), own)
    assert not parametrized_modules(model)
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert sorted(model.state_dict()) == sorted(build(0).state_dict())
    assert len(pruned.history) == plan_of(name)["epochs"]


@pytest.mark.parametrize(("name", "unit"), [one for one in UNITS if one[1] != "weight"])
@pytest.mark.parametrize("sparsity", SPARSITIES)
def test_a_structured_unit_keeps_its_exact_share_of_each_group(
    build, setting, checkpoint, name, unit, sparsity
):
    model, pruned, own = pruned_by(
        name, sparsity, build, setting, checkpoint, unit=unit, layers="all"
    )
    parameters = dict(model.named_parameters())
    for layer, mask in pruned.masks.items():
        assert mask.dtype == torch.bool
        assert not parameters[layer][~mask].any()
    if unit == "column":
        for layer, weight in prunable_weights(model).items():
            columns = pruned.masks[layer].flatten(1)
            assert torch.equal(columns.all(0), columns.any(0))
            assert int(columns.any(0).sum()) == kept_count(weight[0].numel(), sparsity)
    else:
        groups = channel_groups(model, setting().example)
        assert len(groups) == 3
        for group in groups:
            (writer,) = group.producers
            written = pruned.masks[f"{writer.module}.weight"].flatten(1).any(1)
            assert int(written.sum()) == kept_count(group.size, sparsity)
            for side in group.consumers:
                read = pruned.masks[f"{side.module}.weight"].transpose(0, 1).flatten(1).any(1)
                assert torch.equal(read[side.index], written[:, None].expand_as(side.index))
            for side in group.norms:
                assert torch.equal(pruned.masks[f"{side.module}.bias"], written)
    assert torch.equal(logits(model), own)
    assert not parametrized_modules(model)


@walks
def test_a_layer_outside_the_set_stays_dense(build, setting, checkpoint, name):
    model, pruned, _ = pruned_by(name, 0.9, build, setting, checkpoint, layers="convolutions")
    assert "linear.weight" not in pruned.masks
    assert len(pruned.masks) == 3
    assert model.linear.weight.all()


@walks
def test_all_layers_can_be_pruned(build, setting, checkpoint, name):
    model, pruned, _ = pruned_by(name, 0.9, build, setting, checkpoint, layers="all")
    assert len(pruned.masks) == 4
    assert not model.linear.weight.all()
    assert_budget(list(pruned.masks.values()), 0.9, name in TOGETHER)


@walks_units
def test_pruning_twice_from_the_same_network_gives_the_same_bits(
    build, setting, tmp_path, name, unit
):
    found = [
        pruned_by(name, 0.9, build, setting, Checkpoint(tmp_path / str(i), "job"), unit=unit)[0]
        for i in range(2)
    ]
    first, second = (model.state_dict() for model in found)
    assert all(torch.equal(first[key], second[key]) for key in first)


@walks
def test_a_method_says_what_it_is(name):
    kind = tables.load("methods", name)
    assert dataclasses.is_dataclass(kind)
    assert kind.__dataclass_params__.frozen
    assert set(kind.units) <= {"weight", "filter", "channel", "column"}
    assert kind.units
    assert kind.claimed in PROTOCOLS


@walks
@pytest.mark.parametrize("stage", ["prune_plan", "finetune_plan"])
def test_published_plans_have_only_keys_of_a_plan(name, stage):
    published = getattr(tables.load("methods", name), stage)
    assert set(published) <= {field.name for field in dataclasses.fields(Plan)}
    assert "epochs" in published
    Plan(**published)


@walks
def test_the_study_reads_the_same_from_the_source(name):
    kind, read = tables.load("methods", name), entry("methods", name)
    assert {key: getattr(kind, key) for key in read.constants} == {
        key: tuple(value) if isinstance(getattr(kind, key), tuple) else value
        for key, value in read.constants.items()
    }
    plans, objectives = (
        {f"{stage}_{what}" for stage in ("prune", "finetune")} for what in ("plan", "objective")
    )
    assert set(read.constants) - {"limits"} == {"units", "claimed"} | plans | objectives
    defaults = {field.name: field.default for field in dataclasses.fields(kind)}
    assert {name: option.default for name, option in read.options.items()} == defaults


class Forgets(LwmPruner):
    """Says that weights are pruned, and computes with all of them."""

    def finish(self, model):
        return {name: w.detach() > 0 for name, w in prunable_weights(model).items()}


class ClaimsMore(LwmPruner):
    """Computes with its masks, and returns others."""

    def finish(self, model):
        masks = super().finish(model)
        return {name: torch.zeros_like(mask) for name, mask in masks.items()}


class Wavers(nn.Module):
    """Another weight at each use, as a pruner that draws a mask in its forward pass."""

    def __init__(self):
        super().__init__()
        self.uses = 0

    def forward(self, weight):
        self.uses += 1
        return weight * (1 + self.uses)


class Changes(Pruner):
    """What it computes with is not what is exported."""

    def finish(self, model):
        nn.utils.parametrize.register_parametrization(model.linear, "weight", Wavers())
        return {}


@pytest.mark.parametrize(
    ("pruner", "message"),
    [
        (Forgets(Lwm(), 0.5), r"not zero after the export: block1\.conv\.weight, block2"),
        (ClaimsMore(Lwm(), 0.5), r"not zero after the export: .*linear\.weight"),
        (Changes(), r"logits differ by up to \d"),
    ],
)
def test_a_pruner_whose_masks_are_not_what_it_computes_with_is_found_out(
    build, setting, checkpoint, pruner, message
):
    with pytest.raises(ExportChanged, match=message):
        prune(build(0), pruner, setting(epochs=0), checkpoint)


def test_a_pruner_that_does_not_say_what_stays_is_an_error(build, setting, checkpoint):
    with pytest.raises(NotImplementedError, match="Pruner does not say which weights stay"):
        prune(build(0), Pruner(), setting(epochs=0), checkpoint)


def test_masks_are_those_of_the_pruner_s_own_parametrization(build):
    model = build(0)
    masks = Lwm().pruner(0.8).finish(model)
    for name, mask in masks.items():
        carrier = model.get_submodule(name.removesuffix(".weight")).parametrizations.weight[0]
        assert isinstance(carrier, FixedMask)
        assert torch.equal(carrier.mask, mask)
    with pytest.raises(KeyError):
        fix_masks(model, {"nothing.weight": torch.ones(1, dtype=torch.bool)})

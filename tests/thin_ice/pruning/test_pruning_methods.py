"""Laws that every pruning method of the table keeps."""

import dataclasses

import pytest
import torch
from torch import nn

from thin_ice import tables
from thin_ice.attacks.protocols import PROTOCOLS
from thin_ice.checkpoint import Checkpoint
from thin_ice.models.network import Architecture
from thin_ice.objectives.pgd_at import PgdAt
from thin_ice.objectives.trades import Trades
from thin_ice.pruning.base import Pruner
from thin_ice.pruning.lwm import Lwm, LwmPruner
from thin_ice.pruning.prune import ExportChanged, prune
from thin_ice.sparsity.channels import channel_groups, group_masks
from thin_ice.sparsity.masks import kept_count
from thin_ice.sparsity.parametrizations import FixedMask, fix_masks, parametrized_modules
from thin_ice.sparsity.prunable import prunable_weights
from thin_ice.study.options import entry
from thin_ice.study.pipelines import STAGES, acting_stage
from thin_ice.training.plan import Plan

walks = pytest.mark.parametrize("name", tables.METHODS)
CASES = [(n, unit) for n in tables.METHODS for unit in tables.load("methods", n).units]
walks_units = pytest.mark.parametrize(("name", "unit"), CASES)
of_weights = pytest.mark.parametrize("name", [n for n, unit in CASES if unit == "weight"])
of_channels = pytest.mark.parametrize(
    ("name", "unit"), [case for case in CASES if case[1] in ("filter", "channel")]
)
# Layers have shares of their own, which add up to the budget; HARP's budget of channels is of what
# the network costs with them.
UNEVEN = (
    *("mad", "harp", "heracles_hydra", "heracles_radmm", "li20", "robust_bird", "imp"),
    *("bcsp", "flying_bird", "flying_bird_plus", "twinrep"),
)
GROWN = ("flying_bird", "flying_bird_plus")  # weights that come back begin at zero
DRIFTS = ("flying_bird_plus",)  # whose number of weights follows its training
SPARSITIES = [0.5, 0.9, 0.99]


def method(name, **options):
    return tables.load("methods", name)(**options)


def plan_of(name, epochs=2):
    """The method's published plan of pruning, cut to a few epochs where it trains at all."""
    plan = dict(getattr(method(name), f"{acting_stage(method(name).pipeline)}_plan"))
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


def pruned_by(name, unit, sparsity, build, setting, checkpoint, **options):
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


@of_weights
@pytest.mark.parametrize("sparsity", SPARSITIES)
def test_the_budget_is_met_and_zeros_are_exactly_where_masked(
    build, setting, checkpoint, name, sparsity
):
    model, pruned, _ = pruned_by(name, "weight", sparsity, build, setting, checkpoint)
    weights = prunable_weights(model, method(name).layers)
    assert list(pruned.masks) == list(weights)
    for layer, weight in weights.items():
        mask = pruned.masks[layer]
        assert mask.dtype == torch.bool
        assert mask.shape == weight.shape
        assert not weight[~mask].any()
        assert name in GROWN or weight[mask].all()
        if name not in UNEVEN:
            assert int(mask.sum()) == kept_count(weight.numel(), sparsity)
    kept = sum(int(mask.sum()) for mask in pruned.masks.values())
    size = sum(weight.numel() for weight in weights.values())
    if name not in DRIFTS:
        assert abs(size - kept - sparsity * size) < len(weights)


@of_channels
@pytest.mark.parametrize("sparsity", SPARSITIES)
def test_each_group_keeps_its_share_of_channels_and_all_that_goes_with_one_is_gone(
    build, setting, checkpoint, name, unit, sparsity
):
    model, pruned, _ = pruned_by(name, unit, sparsity, build, setting, checkpoint)
    groups = channel_groups(build(0), images(), method(name).layers)
    rows = {g.name: pruned.masks[f"{g.name}.weight"].flatten(1).any(1) for g in groups}
    for group in groups:
        assert rows[group.name].any()
        if name not in UNEVEN:
            assert int(rows[group.name].sum()) == kept_count(group.size, sparsity)
    expected = group_masks(build(0), groups, rows)
    assert pruned.masks.keys() == expected.keys()
    parameters = dict(model.named_parameters())
    for parameter, mask in expected.items():
        assert torch.equal(pruned.masks[parameter], mask)
        assert not parameters[parameter][~mask].any()


@pytest.mark.parametrize("name", [n for n, unit in CASES if unit == "column"])
@pytest.mark.parametrize("sparsity", SPARSITIES)
def test_each_layer_keeps_its_share_of_whole_columns(build, setting, checkpoint, name, sparsity):
    model, pruned, _ = pruned_by(name, "column", sparsity, build, setting, checkpoint)
    for layer, weight in prunable_weights(model, method(name).layers).items():
        columns = pruned.masks[layer].flatten(1)
        assert torch.equal(columns.all(0), columns.any(0))
        assert int(columns.any(0).sum()) == kept_count(weight[0].numel(), sparsity)
        assert not weight.flatten(1)[~columns].any()


@walks_units
def test_the_stage_ends_with_a_plain_network_that_computes_what_the_pruner_s_did(
    build, setting, checkpoint, name, unit
):
    model, pruned, own = pruned_by(name, unit, 0.9, build, setting, checkpoint)
    assert torch.equal(logits(model), own)
    assert not parametrized_modules(model)
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert sorted(model.state_dict()) == sorted(build(0).state_dict())
    assert len(pruned.history) == plan_of(name)["epochs"]


@of_weights
def test_a_layer_outside_the_set_stays_dense(build, setting, checkpoint, name):
    only = {"layers": "convolutions"}
    model, pruned, _ = pruned_by(name, "weight", 0.9, build, setting, checkpoint, **only)
    assert "linear.weight" not in pruned.masks
    assert len(pruned.masks) == 3
    assert model.linear.weight.all()


@of_channels
def test_channels_that_a_layer_outside_the_set_writes_stay(setting, checkpoint, name, unit):
    """Those of the hidden linear layer; the convolutions' channels that it reads may go."""
    model = Architecture("cnn_small", {"width": 4}, (1, 8, 8), 10, normalize=False).build(0)
    pruner = method(name, layers="convolutions").pruner(0.5, unit)
    pruned = prune(model, pruner, setting(Trades(steps=1), **plan_of(name)), checkpoint)
    assert "fc2.weight" not in pruned.masks
    rows = pruned.masks["fc1.weight"].flatten(1)
    assert rows.any(1).all()
    assert not rows.all()
    assert not pruned.masks["conv1.weight"].all()


@of_weights
def test_all_layers_can_be_pruned(build, setting, checkpoint, name):
    model, pruned, _ = pruned_by(name, "weight", 0.9, build, setting, checkpoint, layers="all")
    assert len(pruned.masks) == 4
    assert not model.linear.weight.all()


@walks_units
def test_pruning_twice_from_the_same_network_gives_the_same_bits(
    build, setting, tmp_path, name, unit
):
    found = [
        pruned_by(name, unit, 0.9, build, setting, Checkpoint(tmp_path / str(i), "job"))[0]
        for i in range(2)
    ]
    first, second = (model.state_dict() for model in found)
    assert all(torch.equal(first[key], second[key]) for key in first)


@walks_units
def test_looks_leave_the_network_as_it_was(build, setting, name, unit):
    """Also where the objective attacks in training mode, which moves running statistics."""
    model, pruner = build(0).eval(), method(name).pruner(0.9, unit)
    chosen = setting(PgdAt(steps=1, mode="train"), **plan_of(name))
    for number in range(min(2, pruner.looks(chosen))):
        pruner.look(model, chosen, number)
    after = model.state_dict()
    assert all(torch.equal(after[key], value) for key, value in build(0).state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert not any(module.training for module in model.modules())
    assert not any(module._forward_hooks for module in model.modules())


@walks_units
def test_looks_go_on_from_the_state_that_was_saved(build, setting, name, unit):
    """To the bit, as if they had not been interrupted."""
    chosen = setting(PgdAt(steps=1), **plan_of(name))
    model, whole = build(0).eval(), method(name).pruner(0.9, unit)
    first, second = (method(name).pruner(0.9, unit) for _ in range(2))
    for number in range(min(3, whole.looks(chosen))):
        whole.look(model, chosen, number)
        if number == 1:
            second.restore({key: value.clone() for key, value in first.state().items()})
        (first if number < 1 else second).look(model, chosen, number)
    if whole.looks(chosen):
        expected, found = whole.state(), second.state()
        assert expected.keys() == found.keys()
        assert expected
        assert all(torch.equal(expected[key], found[key]) for key in expected)


@walks
def test_a_method_says_what_it_is(name):
    kind = tables.load("methods", name)
    assert dataclasses.is_dataclass(kind)
    assert kind.__dataclass_params__.frozen
    assert set(kind.units) <= {"weight", "filter", "channel", "column"}
    assert kind.units
    assert kind.claimed in PROTOCOLS
    assert kind.pipeline in STAGES
    assert kind.criterion
    assert kind.paper


@walks
def test_published_plans_have_only_keys_of_a_plan(name):
    for stage in STAGES[method(name).pipeline]:
        published = getattr(tables.load("methods", name), f"{stage}_plan")
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
    stages = STAGES[kind.pipeline]
    optional = {"limits", "ranges", *(f"{stage}_objective" for stage in stages)}
    wanted = {"pipeline", "criterion", "paper", "units", "claimed"}
    assert set(read.constants) - optional == wanted | {f"{stage}_plan" for stage in stages}
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

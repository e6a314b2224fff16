"""HARP learns scores and keep rates under one budget."""

import math

import pytest
import torch
import torch.nn.functional as F

from thin_ice.checkpoint import Checkpoint
from thin_ice.models.network import Architecture
from thin_ice.objectives.trades import Trades
from thin_ice.pruning.harp import Harp, column_scores, gamma_at, reshaped_scores
from thin_ice.pruning.hydra import Hydra
from thin_ice.pruning.prune import prune
from thin_ice.pruning.scores import scaled_scores
from thin_ice.sparsity.costs import cost
from thin_ice.sparsity.learned_rates import kappa_of
from thin_ice.sparsity.masks import kept_count
from thin_ice.sparsity.parametrizations import export
from thin_ice.training.fit import fit

UNITS = ["weight", "channel"]


class Example:
    """As much of a setting as attaching needs."""

    def __init__(self, *shape):
        self.example = torch.zeros(2, *shape)


def residual():
    return Architecture("resnet18", {"width": 4}, (3, 8, 8), 10, normalize=False).build(0)


def attached(model, sparsity, unit="weight", shape=(1, 8, 8), **options):
    pruner = Harp(**options).pruner(sparsity, unit)
    pruner.attach(model, Example(*shape))
    return pruner


def set_rates(pruner, rate):
    """Every part's keep rate, a number or a function of its name."""
    for name, part in pruner.parts.items():
        wanted = rate(name) if callable(rate) else rate
        part.kappa.data.fill_(kappa_of(wanted, part.least))


def drawn_rates(pruner, seed):
    stream = torch.Generator().manual_seed(seed)
    for part in pruner.parts.values():
        part.kappa.data = torch.randn((), generator=stream) - 2
        part.scores.data = torch.randn(part.scores.shape, generator=stream)


@torch.no_grad()
def logits(model, images):
    return model.eval()(images)


def test_rates_begin_as_published_or_at_the_target(build):
    for sparsity, options, rate in [
        (0.99, {}, 0.1),
        (0.99, {"initial_rate": None}, 0.01),
        (0.99, {"initial_rate": 0.3}, 0.3),
        (0.5, {}, 0.5),  # below its target nothing would raise it
    ]:
        pruner = attached(build(0), sparsity, **options)
        assert {part.least for part in pruner.parts.values()} == {0.1 * (1 - sparsity)}
        for part in pruner.parts.values():
            assert part.rate().item() == pytest.approx(rate, rel=1e-5)


def test_scores_begin_as_hydra_s(build):
    pruner, plain = attached(build(0), 0.9), build(0)
    for name, part in pruner.parts.items():
        assert torch.equal(part.scores, scaled_scores(plain.get_parameter(name)))


def test_penalty_is_gamma_times_the_share_by_which_the_budget_is_exceeded(build):
    model = build(0)  # 36 + 288 + 1152 + 640 weights
    pruner = attached(model, 0.99)
    set_rates(pruner, lambda name: 0.5 if name == "linear.weight" else 0.1)
    pruner.before_epoch(model, 0, 20)
    kept, budget = 0.1 * 1476 + 0.5 * 640, kept_count(2116, 0.99)
    assert pruner.penalty(model).item() == pytest.approx(0.01 * (kept / budget - 1), rel=1e-5)


def test_the_target_of_channels_is_the_cost_of_uniform_pruning():
    narrow = Architecture("resnet18", {"width": 2}, (3, 8, 8), 10, normalize=False).build(0)
    pruner = attached(residual(), 0.5, "channel", (3, 8, 8))
    dense = attached(narrow, 0.5, "channel", (3, 8, 8))
    assert pruner.target == cost(dense.terms, dict.fromkeys(dense.parts, 1))


def test_gamma_grows_with_the_share_of_the_stage():
    assert [gamma_at(0.01, epoch, 20) for epoch in (0, 1, 19)] == pytest.approx([0.01, 0.02, 0.2])
    assert [gamma_at(0.01, epoch, 5) for epoch in (0, 4)] == pytest.approx([0.04, 0.2])


def test_gamma_stands_still_once_the_loss_rounds_to_zero_and_then_an_epoch_may_be_best(build):
    model = build(0)
    pruner = attached(model, 0.9)
    exact = pruner.target / 2116
    gammas, eligible = [], []
    for epoch, excess in enumerate([1.5, 1.0001, 1.00004, 2.0]):
        set_rates(pruner, exact * excess)
        pruner.before_epoch(model, epoch, 20)
        pruner.after_epoch(model, epoch)
        gammas.append(pruner.gamma)
        eligible.append(pruner.eligible)
    pruner.before_epoch(model, 4, 20)
    assert [*gammas, pruner.gamma] == pytest.approx([0.01, 0.02, 0.03, 0.03, 0.03])
    assert eligible == [False, False, True, True]


@pytest.mark.parametrize("unit", UNITS)
def test_only_scores_rates_and_batch_norm_train(build, setting, checkpoint, unit):
    model, before = build(0), build(0).state_dict()
    chosen = setting(Trades(steps=1), select="last", weight_decay=0.0, lr=0.1)
    pruner = Harp().pruner(0.9, unit)
    pruner.attach(model, chosen)
    began = {name: p.detach().clone() for name, p in model.named_parameters()}
    fit(model, chosen, pruner, checkpoint)
    learned = {name for name in began if name.endswith((".scores", ".kappa"))}
    assert len(learned) == (8 if unit == "weight" else 6)
    for name, parameter in model.named_parameters():
        moved = not torch.equal(parameter, began[name])
        assert moved == (name in learned or ".bn." in name), name
    masks = pruner.finish(model)
    export(model)
    for name, mask in masks.items():
        if ".bn." not in name:
            assert torch.equal(model.get_parameter(name), before[name] * mask)


def test_weight_decay_applies_to_scores_and_rates(build, setting, tmp_path):
    found = []
    for decay in (0.0, 5.0):
        model, pruner = build(0), Harp().pruner(0.5)
        chosen = setting(epochs=1, lr=0.01, weight_decay=decay, select="last")
        pruner.attach(model, chosen)
        set_rates(pruner, 0.3)
        fit(model, chosen, pruner, Checkpoint(tmp_path / str(decay), "job"))
        part = pruner.parts["linear.weight"]
        found.append((part.scores.norm().item(), part.kappa.abs().item()))
    (scores, kappa), (less_scores, less_kappa) = found
    assert less_scores < 0.95 * scores
    assert less_kappa < 0.95 * kappa


def test_a_step_equals_a_plain_step_of_autograd(build, setting, checkpoint):
    """One step of SGD on a layer's scores and rate, against autograd on w * m written out."""
    chosen = setting(epochs=1, train=16, momentum=0.0, weight_decay=0.0, lr=0.01)
    model, pruner = build(0), Harp(gamma=0.5).pruner(0.8)
    pruner.attach(model, chosen)
    set_rates(pruner, 0.5)
    part = pruner.parts["linear.weight"]
    scores, kappa = part.scores.detach().clone(), part.kappa.item()
    masks = {name: other().detach() for name, other in pruner.parts.items()}
    (row,) = fit(model, chosen, pruner, checkpoint)

    plain = build(0)
    for name, mask in masks.items():
        plain.get_parameter(name).data.mul_(mask)
    soft = masks["linear.weight"].clone().requires_grad_(True)
    features = plain[:-1](chosen.train.floats())
    weight = build(0).linear.weight.detach()
    F.cross_entropy(
        F.linear(features, weight * soft, plain.linear.bias), chosen.train.labels
    ).backward()
    expected = scores - row["lr"] * scores.sign() * soft.grad
    torch.testing.assert_close(part.scores.detach(), expected, rtol=1e-4, atol=1e-7)
    least = 0.1 * 0.2
    share = (0.5 - least) / (1 - least)
    by_hardware = 0.5 * 20 * 640 / kept_count(2116, 0.8)  # gamma of the only epoch is 20 gamma_0
    slope = (soft.grad.sum().item() + by_hardware) * (1 - least) * share * (1 - share)
    assert part.kappa.item() == pytest.approx(kappa - row["lr"] * slope, rel=1e-4)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("sparsity", [0.5, 0.9, 0.95, 0.99])
def test_weights_meet_the_budget_together_exactly(build, sparsity, seed):
    model = build(0)
    pruner = attached(model, sparsity)
    drawn_rates(pruner, seed)
    chosen = {n: p.scores.detach().abs() for n, p in pruner.parts.items()}
    masks = pruner.finish(model)
    assert sum(int(mask.sum()) for mask in masks.values()) == kept_count(2116, sparsity)
    assert len({mask.float().mean().item() for mask in masks.values()}) == 4  # its own rate each
    for name, mask in masks.items():
        assert mask.any()
        assert mask.all() or chosen[name][mask].min() >= chosen[name][~mask].max()


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("sparsity", [0.5, 0.9])
def test_channels_cost_no_more_than_the_budget_and_no_channel_more_fits(sparsity, seed):
    model = residual()
    pruner = attached(model, sparsity, "channel", (3, 8, 8))
    drawn_rates(pruner, seed)
    masks = pruner.finish(model)
    kept = {  # rows of what writes the channels
        group.name: int(masks[f"{group.name}.weight"].flatten(1).any(1).sum())
        for group in pruner.groups
    }
    assert min(kept.values()) >= 1

    def price(kept):
        return cost(pruner.terms, {name: kept[name] / n for name, n in pruner.sizes.items()})

    assert price(kept) <= pruner.target
    for name, size in pruner.sizes.items():
        if kept[name] < size:
            assert price(kept | {name: kept[name] + 1}) > pruner.target


def test_a_pruned_channel_is_read_by_nobody_and_the_function_is_that_of_the_columns():
    images = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    model, columns_only = residual(), residual()
    pruner = attached(model, 0.5, "channel", (3, 8, 8))
    masks = pruner.finish(model)
    assert len([name for name in masks if ".bn" in name or name.startswith("bn")]) > 10
    readers = {side.module for group in pruner.groups for side in group.consumers}
    for name in readers:
        mask = masks[f"{name}.weight"]
        columns = mask.transpose(0, 1).flatten(1).any(1)
        columns_only.get_submodule(name).weight.data.transpose(0, 1)[~columns] = 0
    assert 0 < (~masks["layer1.0.conv1.weight"]).sum() < masks["layer1.0.conv1.weight"].numel()
    torch.testing.assert_close(logits(model, images), logits(columns_only, images))


def test_while_pruning_every_layer_that_reads_a_channel_reads_it_masked():
    model, plain = residual(), residual()
    pruner = attached(model, 0.5, "channel", (3, 8, 8))
    masks = {name: part().bool() for name, part in pruner.parts.items()}
    assert {int(mask.sum()) for mask in masks.values()} == {2, 4, 8, 16}
    for group in pruner.groups:
        for side in group.consumers:
            weight = plain.get_submodule(side.module).weight.detach().clone()
            weight.transpose(0, 1)[side.index[~masks[group.name]].flatten()] = 0
            assert torch.equal(model.get_submodule(side.module).weight, weight)


def test_the_released_export_cuts_at_the_uniform_rate(build):
    counts = {}
    for rates in ("learned", "uniform"):
        model = build(0)
        pruner = attached(model, 0.9, export=rates)
        set_rates(pruner, lambda name: 0.3 if name == "linear.weight" else 0.02)
        counts[rates] = {name: int(mask.sum()) for name, mask in pruner.finish(model).items()}
    assert counts["uniform"] == {name: kept_count(n, 0.9) for name, n in pruner.sizes.items()}
    assert counts["learned"]["linear.weight"] > 2.5 * counts["uniform"]["linear.weight"]


def test_initial_scores_of_channels_by_hand():
    weight = torch.tensor([[1.0, -2.0, 0.5], [3.0, 0.0, 0.5]])  # 2 outputs, 3 channels
    each = torch.tensor([[0], [1], [2]])
    root = math.sqrt(6)
    torch.testing.assert_close(
        column_scores(weight, each), root * torch.tensor([4.0, 2.0, 1.0]) / 4
    )
    # As released, of (1, -2), (0.5, 3), (0, 0.5): columns of nothing.
    torch.testing.assert_close(reshaped_scores(weight, 3), root * torch.tensor([3, 3.5, 0.5]) / 3.5)
    flattened = torch.tensor([[0, 2], [1, 1]])  # channels of more than one column
    torch.testing.assert_close(column_scores(weight, flattened), root * torch.tensor([1.0, 0.8]))


def test_channels_read_by_several_layers_have_the_mean_of_their_scores():
    model = residual()
    pruner = attached(model, 0.5, "channel", (3, 8, 8))
    group = pruner.groups[0]
    assert [side.module for side in group.consumers][-1] == "layer2.0.shortcut.0"
    plain, scores = residual(), []
    for side in group.consumers:
        sums = plain.get_submodule(side.module).weight.detach().abs().sum((0, 2, 3))
        scores.append(math.sqrt(6) * sums / sums.max())
    torch.testing.assert_close(pruner.parts[group.name].scores.detach(), sum(scores) / len(scores))
    reshaped = attached(residual(), 0.5, "channel", (3, 8, 8), channel_scores="reshaped")
    assert not torch.equal(reshaped.parts[group.name].scores, pruner.parts[group.name].scores)


@pytest.mark.parametrize("call", [2, 5, 7])  # within the first epoch, the second, the third
@pytest.mark.parametrize("unit", UNITS)
def test_a_killed_run_ends_where_an_uninterrupted_one_ends(build, setting, tmp_path, unit, call):
    """With the best epoch chosen, which hangs on what the pruner remembers."""
    chosen = setting(Trades(steps=1), epochs=3, lr=0.1, select="best")
    ended = []

    class Killed(Exception):
        pass

    def run(checkpoint, steps=math.inf):
        model, pruner, done = build(0), Harp(gamma=5.0).pruner(0.8, unit), []
        pruner.after_step = lambda model: done.append(1) or len(done) < steps or kill()
        pruned = prune(model, pruner, chosen, checkpoint)
        ended.append((model.state_dict(), pruned.masks, pruner.state(), pruned.history))

    def kill():
        raise Killed

    with pytest.raises(Killed):
        run(Checkpoint(tmp_path / "killed", "job"), steps=call)
    run(Checkpoint(tmp_path / "killed", "job"))
    run(Checkpoint(tmp_path / "whole", "job"))
    (*resumed, history), (*whole, expected) = ended
    assert history == expected
    assert whole[2]["reached"]  # else nothing hung on it
    for found, wanted in zip(resumed, whole, strict=True):
        assert found.keys() == wanted.keys()
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_at_the_target_rate_without_training_it_is_hydra_without_training(build, setting, tmp_path):
    """The same first masks, up to what rounding a layer's count leaves."""
    chosen = setting(epochs=0)
    harp = prune(build(0), Harp().pruner(0.5), chosen, Checkpoint(tmp_path / "a", "job"))
    hydra = prune(build(0), Hydra().pruner(0.5), chosen, Checkpoint(tmp_path / "b", "job"))
    for name, mask in hydra.masks.items():
        assert (harp.masks[name] != mask).sum() <= 1

"""Methods that find a mask before training: what it is taken from, and what they leave."""

import itertools
import math

import pytest
import torch
from torch import nn

from thin_ice.checkpoint import Checkpoint
from thin_ice.objectives.pgd_at import PgdAt
from thin_ice.pruning.finetune import finetune
from thin_ice.pruning.imp import Imp, ImpPruner
from thin_ice.pruning.li20 import Li20, Li20Pruner
from thin_ice.pruning.lwm_iterative import step_sparsity
from thin_ice.pruning.prune import prune
from thin_ice.pruning.rewind import initial_state, rewind
from thin_ice.pruning.robust_bird import RobustBird, mask_distance
from thin_ice.pruning.rst import Rst, signed_constant
from thin_ice.sparsity.masks import global_masks, kept_count, layerwise_masks
from thin_ice.sparsity.parametrizations import export, fix_masks
from thin_ice.sparsity.prunable import prunable_weights

ALLOCATIONS = {"global": global_masks, "layer": layerwise_masks}


def magnitudes(model):
    return {name: weight.detach().abs() for name, weight in prunable_weights(model).items()}


def found_by(build, setting, checkpoint, pruner, **plan):
    """The network and the masks that a method finds for it, as a job of its stage does."""
    model = build(0)
    chosen = setting(PgdAt(steps=1), **{"epochs": 2, "lr": 0.05, "select": "last"} | plan)
    return model, prune(model, pruner, chosen, checkpoint, False)


def same_as_initial(model, initial, masks):
    """Whether all but what is masked is as it was, buffers included."""
    one = torch.tensor(1)
    return all(
        torch.equal(value, initial[name] * masks.get(name, one))
        for name, value in model.state_dict().items()
    )


def test_rewinding_brings_back_weights_and_buffers_under_the_masks(build, images):
    model, initial = build(0), initial_state(build(0))
    masks = ALLOCATIONS["layer"](magnitudes(model), 0.5)
    fix_masks(model, masks)
    model.train()(images)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    rewind(model, initial)
    export(model)
    assert same_as_initial(model, initial, masks)


class NotingLi20(Li20Pruner):
    """Notes the magnitudes from which it chooses."""

    def finish(self, model):
        self.trained = magnitudes(model)
        return super().finish(model)


@pytest.mark.parametrize("allocation", ALLOCATIONS)
def test_li20_puts_the_mask_of_the_trained_on_the_initial_network(
    build, setting, checkpoint, allocation
):
    pruner = NotingLi20(Li20(allocation=allocation), 0.8)
    model, found = found_by(build, setting, checkpoint, pruner)
    expected = ALLOCATIONS[allocation](pruner.trained, 0.8)
    assert all(torch.equal(found.masks[name], mask) for name, mask in expected.items())
    assert same_as_initial(model, initial_state(build(0)), found.masks)
    own = ALLOCATIONS[allocation](magnitudes(build(0)), 0.8)
    assert not all(torch.equal(found.masks[name], mask) for name, mask in own.items())
    assert len(found.history) == 2


class NotingImp(ImpPruner):
    """Notes, when each epoch begins, the round, the masks and what the network and its optimiser
    know; and of the last epoch of a round what it ended with.
    """

    def __init__(self, options, sparsity):
        super().__init__(options, sparsity)
        self.begun, self.ended = [], []

    def before_epoch(self, model, epoch, epochs):
        super().before_epoch(model, epoch, epochs)
        weights = {name: w.detach().clone() for name, w in prunable_weights(model).items()}
        kept = {name: mask.clone() for name, mask in self.kept.items()}
        bias = model.linear.bias.detach().clone()
        self.begun.append((self.round, kept, weights, bias, len(self.optimizer.state)))

    def after_epoch(self, model, epoch):
        self.ended.append(({n: w.clone() for n, w in magnitudes(model).items()}, self.eligible))


ROUNDS, EPOCHS = 3, 6


@pytest.fixture
def rounds(build, setting, checkpoint):
    """A run of three rounds of two epochs each."""
    pruner = NotingImp(Imp(), 0.9)
    model, found = found_by(build, setting, checkpoint, pruner, epochs=EPOCHS, cycles=ROUNDS)
    return model, found, pruner


def test_imp_prunes_the_same_share_of_what_is_left_after_each_round(build, rounds):
    _, found, pruner = rounds
    size = sum(weight.numel() for weight in prunable_weights(build(0)).values())
    assert [number for number, *_ in pruner.begun] == [0, 0, 1, 1, 2, 2]
    masks = [kept for _, kept, *_ in pruner.begun[::2]] + [found.masks]
    assert masks[0] == {}
    for number, kept in enumerate(masks[1:], 1):
        expected = kept_count(size, step_sparsity("geometric", 0.9, number, ROUNDS))
        assert sum(int(mask.sum()) for mask in kept.values()) == expected
        assert expected == pytest.approx(size * 0.1 ** (number / ROUNDS), abs=1)
    for before, after in itertools.pairwise(masks[1:]):
        assert not any((after[name] & ~before[name]).any() for name in before)


def test_with_fewer_epochs_than_cycles_imp_has_a_round_an_epoch(build, setting, checkpoint):
    pruner = NotingImp(Imp(), 0.9)
    _, found = found_by(build, setting, checkpoint, pruner, epochs=3, cycles=5)
    assert [number for number, *_ in pruner.begun] == [0, 1, 2]
    assert [row["eligible"] for row in found.history] == [0, 0, 1]


def test_imp_prunes_by_the_magnitudes_that_a_round_ended_with(rounds):
    _, found, pruner = rounds
    masks = [kept for _, kept, *_ in pruner.begun[::2]] + [found.masks]
    for number in range(ROUNDS):
        ended, _ = pruner.ended[2 * number + 1]
        before, after = masks[number], masks[number + 1]
        candidates = [w[before[n]] if before else w.flatten() for n, w in ended.items()]
        threshold = (
            torch.cat(candidates)
            .sort(descending=True)
            .values[sum(int(m.sum()) for m in after.values()) - 1]
        )
        for name, magnitude in ended.items():
            there = before[name] if before else torch.ones_like(after[name])
            assert torch.equal(after[name], there & (magnitude >= threshold))


def test_every_round_of_imp_begins_with_the_initial_network_and_an_optimiser_that_knows_nothing(
    build, rounds
):
    model, found, pruner = rounds
    initial, bias = prunable_weights(build(0)), build(0).linear.bias
    for number, kept, weights, own_bias, memory in pruner.begun[::2]:
        for name, weight in weights.items():
            mask = kept.get(name, torch.ones_like(weight, dtype=torch.bool))
            assert torch.equal(weight, initial[name] * mask), number
        assert torch.equal(own_bias, bias)
        assert memory == 0
    assert all(memory > 0 for *_, memory in pruner.begun[1::2])
    assert same_as_initial(model, initial_state(build(0)), found.masks)


def test_of_imp_only_epochs_of_the_last_round_may_be_chosen(rounds):
    _, _, pruner = rounds
    assert [eligible for _, eligible in pruner.ended] == [False] * 4 + [True] * 2


def test_the_distance_of_masks_is_the_share_in_which_they_differ():
    a = {"x": torch.tensor([True, True, False]), "y": torch.tensor([False])}
    b = {"x": torch.tensor([True, False, True]), "y": torch.tensor([False])}
    assert mask_distance(a, b) == 0.5
    assert mask_distance(a, a) == 0.0


class Scripted(nn.Module):
    """A convolution whose weights are given, epoch by epoch."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 10, 1, bias=False)

    def show(self, kept):
        with torch.no_grad():
            self.conv.weight.fill_(0.1)
            self.conv.weight[kept] = 1.0


@pytest.mark.parametrize(
    ("masks", "ends"),
    [
        ([(0, 1)] * 5, 5),  # a whole window before the newest
        ([(0, 1)] * 4, None),
        ([(2, 3), *[(0, 1)] * 5], 6),
        ([(0, 1), (0, 1), (0, 2), (0, 1), (0, 1), (0, 1), (0, 1), (0, 1)], 8),
        ([(0, 1), (0, 2)] * 4, None),
    ],
)
def test_robust_bird_stops_when_the_newest_mask_is_that_of_each_of_the_window_before(masks, ends):
    model, pruner = Scripted(), RobustBird(distance=0.15, window=4).pruner(0.8)
    stopped = None
    for epoch, kept in enumerate(masks, 1):
        model.show(list(kept))
        pruner.after_epoch(model, epoch - 1)
        if pruner.finished and stopped is None:
            stopped = epoch
    assert stopped == ends


def test_robust_bird_s_distance_is_a_limit_that_is_not_reached():
    """One of two kept weights moved: two of ten differ."""
    for distance, stands in ((0.2, False), (0.21, True)):
        model, pruner = Scripted(), RobustBird(distance=distance, window=1).pruner(0.8)
        for kept in ([0, 1], [0, 2]):
            model.show(kept)
            pruner.after_epoch(model, 0)
        assert pruner.finished is stands


def test_robust_bird_keeps_the_weights_that_training_has_come_to(build, setting, checkpoint):
    pruner = RobustBird(window=1, distance=1.0).pruner(0.8)
    model, found = found_by(build, setting, checkpoint, pruner, epochs=9)
    assert [row["epoch"] for row in found.history] == [1, 2]  # stopped once two masks agreed
    assert "validation_clean" in found.history[-1]
    trained = magnitudes(model)
    for name, mask in found.masks.items():
        assert torch.equal(trained[name] > 0, mask)
        initial = prunable_weights(build(0))[name]
        assert not torch.equal(model.get_parameter(name)[mask], initial[mask])
    threshold = min(trained[name][mask].min() for name, mask in found.masks.items() if mask.any())
    assert threshold > 0


def test_masks_that_robust_bird_compares_are_of_convolutions_and_those_it_leaves_of_all(
    build, setting, checkpoint
):
    pruner = RobustBird(window=1, distance=1.0).pruner(0.8)
    _, found = found_by(build, setting, checkpoint, pruner)
    assert "linear.weight" in found.masks
    assert all("conv" in name for masks in pruner.recent for name in masks)


def test_rst_s_weights_are_a_constant_with_their_signs():
    weight = torch.tensor([[0.3, -0.2, 0.0, 1.0], [-1.0, 0.1, 0.2, -0.1]])
    constant = math.sqrt(2 / 4)
    expected = torch.tensor([[1, -1, 1, 1], [-1, 1, 1, -1]]) * constant
    assert torch.equal(signed_constant(weight), expected)


def test_rst_trains_scores_and_nothing_else(build, setting, checkpoint):
    model, found = found_by(build, setting, checkpoint, Rst().pruner(0.8), lr=0.5)
    initial = build(0)
    for name, weight in prunable_weights(model).items():
        fixed = signed_constant(prunable_weights(initial)[name].detach())
        assert torch.equal(weight, fixed * found.masks[name])
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert torch.equal(module.weight, torch.ones_like(module.weight))
            assert not module.bias.any()
            assert module.running_var.ne(1).any()  # statistics are those of the ticket
    assert not model.linear.bias.any()
    other = build(0)
    untrained = prune(other, Rst().pruner(0.8), setting(epochs=0), checkpoint, False)
    assert not all(torch.equal(found.masks[n], m) for n, m in untrained.masks.items())


def test_rst_s_batch_norm_neither_scales_nor_shifts_however_it_was_initialised(build, setting):
    model = build(0)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    with torch.no_grad():
        for norm in norms:
            norm.weight.fill_(0.5)
            norm.bias.fill_(0.1)
    Rst().pruner(0.8).attach(model, setting())
    assert all(bool((norm.weight == 1).all()) and not norm.bias.any() for norm in norms)


def test_a_ticket_is_trained_under_its_mask_from_where_it_was_left(
    build, setting, checkpoint, tmp_path
):
    model, found = found_by(build, setting, checkpoint, Li20().pruner(0.8))
    seen = []

    class Noting(PgdAt):
        def loss(self, network, images, labels, step):
            seen.append(step.pretrained)
            return super().loss(network, images, labels, step)

    chosen = setting(Noting(steps=1), epochs=2, lr=0.05)
    finetune(model, found.masks, chosen, Checkpoint(tmp_path / "c", "job"), pretrained=False)
    assert seen
    assert not any(seen)
    for name, mask in found.masks.items():
        weight = model.get_parameter(name)
        assert not weight[~mask].any()
        assert not torch.equal(weight[mask], prunable_weights(build(0))[name][mask])

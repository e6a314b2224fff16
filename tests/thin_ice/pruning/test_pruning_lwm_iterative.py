"""Iterative magnitude pruning: the sparsities of its steps, nested masks, training in between."""

import itertools

import pytest
import torch

from thin_ice.checkpoint import Checkpoint
from thin_ice.pruning.filter_norm import FilterNorm
from thin_ice.pruning.lwm import Lwm
from thin_ice.pruning.lwm_iterative import LwmIterative, LwmIterativePruner, step_sparsity
from thin_ice.pruning.prune import prune
from thin_ice.sparsity.channels import channel_groups, group_masks, row_norms
from thin_ice.sparsity.masks import kept_count
from thin_ice.sparsity.prunable import prunable_weights


class Watched(LwmIterativePruner):
    """Notes the masks when each epoch begins, and the largest pruned weight after each step."""

    def __init__(self, options, sparsity):
        super().__init__(options, sparsity)
        self.masks_by_epoch, self.pruned, self.weights = [], [], []

    def before_epoch(self, model, epoch, epochs):
        super().before_epoch(model, epoch, epochs)
        self.masks_by_epoch.append({name: mask.clone() for name, mask in self.kept.items()})

    def after_step(self, model):
        weights = prunable_weights(model)
        self.pruned.append(max(weights[n][~m].abs().max() for n, m in self.kept.items()))
        self.weights.append(model.block2.conv.weight.detach().clone())


@pytest.fixture
def watched(build, setting, tmp_path):
    """A run of some epochs: the pruner that made it, what it returned, and the network."""
    runs = []

    def run(epochs=6, sparsity=0.9, plan=None, **options):
        runs.append(None)
        model, pruner = build(0), Watched(LwmIterative(**options), sparsity)
        chosen = setting(**{"epochs": epochs, "lr": 0.05, "select": "last"} | (plan or {}))
        done = prune(model, pruner, chosen, Checkpoint(tmp_path / str(len(runs)), "job"))
        return pruner, done, model

    return run


def test_geometric_steps_take_the_same_share_of_what_is_left():
    found = [step_sparsity("geometric", 0.99, step, 4) for step in range(5)]
    assert found == pytest.approx([0, 1 - 0.01**0.25, 0.9, 1 - 0.01**0.75, 0.99])
    left = [1 - sparsity for sparsity in found]
    shares = [after / before for before, after in itertools.pairwise(left)]
    assert shares == pytest.approx([shares[0]] * 4)


def test_cubic_steps_by_hand():
    found = [step_sparsity("cubic", 0.8, step, 4) for step in range(5)]
    assert found == pytest.approx([0, 0.8 * 37 / 64, 0.8 * 56 / 64, 0.8 * 63 / 64, 0.8])


@pytest.mark.parametrize("schedule", ["geometric", "cubic"])
@pytest.mark.parametrize("sparsity", [0.1, 0.29, 0.9, 0.99])
def test_the_last_step_is_exactly_the_target(schedule, sparsity):
    assert step_sparsity(schedule, sparsity, 7, 7) == sparsity


@pytest.mark.parametrize("allocation", ["layer", "global"])
@pytest.mark.parametrize("schedule", ["geometric", "cubic"])
def test_budgets_are_exact_at_each_step_and_masks_are_nested(watched, schedule, allocation):
    pruner, done, _ = watched(steps=3, schedule=schedule, allocation=allocation)
    by_epoch = pruner.masks_by_epoch
    for step in (1, 2, 3):
        sparsity = step_sparsity(schedule, 0.9, step, 3)
        for masks in by_epoch[2 * step - 2 : 2 * step]:
            sizes = {name: mask.numel() for name, mask in masks.items()}
            kept = {name: int(mask.sum()) for name, mask in masks.items()}
            if allocation == "layer":
                assert kept == {name: kept_count(n, sparsity) for name, n in sizes.items()}
            assert sum(kept.values()) == pytest.approx(
                kept_count(sum(sizes.values()), sparsity), abs=0 if allocation == "global" else 4
            )
    for before, after in itertools.pairwise(by_epoch):
        assert not any((after[name] & ~before[name]).any() for name in before)
    assert all(torch.equal(done.masks[name], mask) for name, mask in by_epoch[-1].items())


def test_pruned_weights_are_zero_all_the_time_and_the_others_train(watched):
    pruner, done, model = watched(steps=3)
    assert len(pruner.pruned) == 6 * 3
    assert max(pruner.pruned) == 0.0
    kept = done.masks["block2.conv.weight"]
    for before, after in zip(pruner.weights, pruner.weights[1:], strict=False):
        assert not torch.equal(before[kept], after[kept])
    assert torch.equal(model.block2.conv.weight != 0, kept)


def test_a_step_removes_the_smallest_of_what_training_left(watched):
    pruner, _, _ = watched(steps=2, epochs=2)
    trained = pruner.weights[2].abs()  # after the three batches of the first step
    before, after = (masks["block2.conv.weight"] for masks in pruner.masks_by_epoch)
    gone = before & ~after
    assert gone.any()
    assert trained[after].min() > trained[gone].max()


@pytest.mark.parametrize(
    ("epochs", "steps", "begins"),
    [(6, 3, [0, 2, 4]), (7, 3, [0, 2, 4]), (3, 5, [0, 1, 2]), (5, 1, [0]), (4, 4, [0, 1, 2, 3])],
)
def test_steps_divide_the_epochs_and_the_last_has_the_rest(watched, epochs, steps, begins):
    pruner, _, _ = watched(epochs=epochs, steps=steps)
    kept = [int(masks["linear.weight"].sum()) for masks in pruner.masks_by_epoch]
    changes = [e for e in range(epochs) if e == 0 or kept[e] < kept[e - 1]]
    assert changes == begins
    assert kept[-1] == kept_count(640, 0.9)


def test_one_step_begins_with_the_masks_of_lwm_and_without_epochs_there_are_no_others(
    watched, build
):
    expected = Lwm().pruner(0.9).finish(build(0))
    first, _, _ = watched(steps=1, epochs=1)
    _, second, _ = watched(epochs=0)
    for masks in (first.masks_by_epoch[0], second.masks):
        assert all(torch.equal(masks[name], mask) for name, mask in expected.items())


def test_an_earlier_epoch_s_network_is_pruned_to_the_end_all_the_same(watched):
    """Where a study chooses the best epoch, which may be one of fewer pruned weights."""
    pruner, done, model = watched(epochs=3, steps=3, plan={"select": "best", "lr": 5.0})
    last = pruner.masks_by_epoch[-1]
    assert all(torch.equal(done.masks[name], mask) for name, mask in last.items())
    for name, weight in prunable_weights(model).items():
        assert not weight[~last[name]].any()
        assert int(last[name].sum()) == kept_count(weight.numel(), 0.9)


def test_what_was_pruned_never_comes_back_though_what_is_left_became_zero(build, setting):
    model, pruner = build(0), LwmIterative(steps=2).pruner(0.9)
    pruner.attach(model, setting())
    pruner.before_epoch(model, 0, 2)
    first = dict(pruner.kept)
    with torch.no_grad():
        model.linear.parametrizations.weight.original.zero_()
    pruner.before_epoch(model, 1, 2)
    for name, mask in pruner.kept.items():
        assert not (mask & ~first[name]).any()
        assert int(mask.sum()) == kept_count(mask.numel(), 0.9)


def test_masks_survive_as_they_are(build, setting):
    """Whatever the network's weights are by then."""
    model, pruner = build(0), LwmIterative(steps=2).pruner(0.9)
    pruner.attach(model, setting())
    pruner.before_epoch(model, 0, 2)
    state = {name: mask.clone() for name, mask in pruner.state().items()}
    resumed, other = LwmIterative(steps=2).pruner(0.9), build(1)
    resumed.attach(other, setting())
    resumed.restore(state)
    found = resumed.finish(other)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], mask) for name, mask in state.items())


class Filters:
    """A network on which filters are pruned, the pruner, and what each epoch finds."""

    def __init__(self, model, setting, sparsity=0.75, **options):
        self.model, self.pruner = model, LwmIterative(**options).pruner(sparsity, "filter")
        self.pruner.attach(model, setting)
        self.groups = channel_groups(model, setting.example)
        self.kept = []

    def begin(self, epoch, epochs):
        self.pruner.before_epoch(self.model, epoch, epochs)
        self.kept.append(dict(self.pruner.kept))
        return self.kept[-1]

    def train(self, scale):
        """Weights that nobody expects: each channel's rows times its own number."""
        with torch.no_grad():
            for group in self.groups:
                weight = self.model.get_submodule(group.name).parametrizations.weight.original
                factors = torch.tensor(
                    [scale(group.name, channel) for channel in range(group.size)]
                )
                weight.mul_(factors.view(-1, 1, 1, 1))


def test_one_step_of_filters_begins_with_the_masks_of_their_norms(build, setting):
    norms = FilterNorm(norm="l1").pruner(0.75, "filter")
    norms.attach(build(0), setting())
    expected = norms.finish(build(0))
    for epochs in (1, 0):
        filters = Filters(build(0), setting(), steps=1)
        if epochs:
            filters.begin(0, 1)
        found = filters.pruner.finish(filters.model)
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], mask) for name, mask in expected.items())


@pytest.mark.parametrize("allocation", ["layer", "global"])
def test_budgets_of_filters_are_exact_at_each_step_and_the_channels_nested(
    build, setting, allocation
):
    filters = Filters(build(0), setting(), steps=3, allocation=allocation)
    for epoch in range(3):
        kept = filters.begin(epoch, 3)
        sparsity = step_sparsity("geometric", 0.75, epoch + 1, 3)
        counts = {name: int(stays.sum()) for name, stays in kept.items()}
        if allocation == "layer":
            assert counts == {g.name: kept_count(g.size, sparsity) for g in filters.groups}
        else:
            assert sum(counts.values()) == kept_count(4 + 8 + 16, sparsity)
            assert min(counts.values()) >= 1
        # What was largest becomes smallest, so that the next step chooses otherwise.
        filters.train(lambda name, channel: float(channel + 1) ** (-1) ** epoch)  # noqa: B023
    for before, after in itertools.pairwise(filters.kept):
        assert not any((after[name] & ~before[name]).any() for name in before)


def test_a_step_removes_the_filters_that_training_made_small(build, setting):
    filters = Filters(build(0), setting(), sparsity=0.75, steps=2)
    first = filters.begin(0, 2)["block3.conv"].nonzero().flatten()
    filters.train(lambda name, channel: 1e-3 if channel == int(first[0]) else 1.0)
    norms = filters.model.block3.conv.weight.detach().abs().flatten(1).sum(1)
    second = filters.begin(1, 2)["block3.conv"]
    assert not second[first[0]]
    assert norms[second].min() > norms[first].sort().values[-4 - 1]
    assert int(second.sum()) == 4


def test_norms_are_compared_with_the_mean_of_those_left_in_their_group(build, setting):
    filters = Filters(build(0), setting(), sparsity=0.5, steps=2, allocation="global")
    filters.train(lambda name, channel: 1.0 if name == "block1.conv" else float(channel + 1))
    kept = filters.begin(0, 2)
    norms = {g.name: row_norms(g, filters.model, order=1).detach() for g in filters.groups}
    of_left, of_all = ({n: norm / norm[k].mean() for n, norm, k in found} for found in (
        [(n, norm, kept[n]) for n, norm in norms.items()],
        [(n, norm, torch.ones_like(kept[n])) for n, norm in norms.items()],
    ))  # fmt: skip
    second = filters.begin(1, 2)
    for scores, chosen in ((of_left, True), (of_all, False)):
        least = torch.cat(list(scores.values())).sort(descending=True).values[13]
        same = all(torch.equal(second[name], score >= least) for name, score in scores.items())
        assert same == chosen


def test_filters_are_gone_with_all_that_hangs_on_them_while_the_others_train(
    build, setting, checkpoint
):
    model, pruner, left = build(0), LwmIterative(steps=2).pruner(0.5, "filter"), []

    def watched(network):
        for name, mask in group_masks(network, pruner.groups, pruner.kept).items():
            module, _, own = name.rpartition(".")
            left.append(getattr(network.get_submodule(module), own)[~mask].abs().sum().item())

    pruner.after_step = watched
    done = prune(model, pruner, setting(epochs=2, lr=0.05, select="last"), checkpoint)
    assert len(left) == 2 * 3 * len(done.masks)
    assert max(left) == 0.0
    assert "block1.bn.bias" in done.masks
    for name, mask in done.masks.items():
        parameter = model.get_parameter(name)
        assert not parameter[~mask].any()
        assert not torch.equal(parameter[mask], build(0).get_parameter(name)[mask])


def test_filters_survive_as_they_are(build, setting):
    filters = Filters(build(0), setting(), steps=2)
    filters.begin(0, 2)
    state = {name: kept.clone() for name, kept in filters.pruner.state().items()}
    resumed = Filters(build(1), setting(), steps=2)
    resumed.pruner.restore(state)
    expected = group_masks(build(0), filters.groups, state)
    found = resumed.pruner.finish(resumed.model)
    assert all(torch.equal(found[name], mask) for name, mask in expected.items())

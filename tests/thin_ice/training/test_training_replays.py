"""An objective may have each batch replayed, and keep something from step to step."""

import signal
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import ClassVar

import pytest
import torch

from thin_ice import interruption, tables
from thin_ice.checkpoint import Checkpoint
from thin_ice.objectives.free_at import FreeAt
from thin_ice.objectives.natural import Natural
from thin_ice.pruning.flying_bird import FlyingBird
from thin_ice.pruning.prune import prune
from thin_ice.training.fit import fit
from thin_ice.training.hooks import Hooks
from thin_ice.training.schedules import learning_rate

EPOCHS, BATCHES, REPLAYS = 2, 3, 4
STEPS = BATCHES * REPLAYS  # of an epoch
MOVED = {"augment": "crop", "padding": 1, "lr": 0.02, "epochs": EPOCHS}


@dataclass(frozen=True)
class Replayed(Natural):
    """Natural training that notes what it is given."""

    replays: int = REPLAYS
    batches: list = field(default_factory=list)
    moments: list = field(default_factory=list)
    goal: ClassVar[str] = "benign"

    def loss(self, model, images, labels, step):
        self.batches.append(images.clone())
        self.moments.append(step)
        return super().loss(model, images, labels, step)


class Counting(Hooks):
    """Notes the rate of every step; a signal comes at the step ``at``."""

    def __init__(self, at=None):
        self.at, self.rates, self.optimizer = at, [], None

    def before_training(self, model, optimizer):
        self.optimizer = optimizer

    def after_step(self, model):
        self.rates.append(self.optimizer.param_groups[0]["lr"])
        if len(self.rates) == self.at:
            signal.raise_signal(signal.SIGTERM)


@pytest.fixture
def checkpoint(tmp_path):
    return Checkpoint(tmp_path / "checkpoint", "job")


def test_each_batch_is_given_so_many_steps_one_after_another(build, setting, checkpoint):
    objective, hooks = Replayed(), Counting()
    fit(build(0), setting(objective, **MOVED), hooks, checkpoint)
    assert len(hooks.rates) == len(objective.batches) == EPOCHS * STEPS
    groups = [objective.batches[n : n + REPLAYS] for n in range(0, EPOCHS * STEPS, REPLAYS)]
    assert all(torch.equal(one, group[0]) for group in groups for one in group)
    assert not any(torch.equal(a[0], b[0]) for a, b in pairwise(groups))
    assert sum(len(group[0]) for group in groups[:BATCHES]) == 33


def test_replays_change_neither_the_batches_nor_their_order(build, setting, tmp_path):
    seen = []
    for replays in (1, REPLAYS):
        objective = Replayed(replays)
        chosen = setting(objective, **MOVED)
        fit(build(0), chosen, Hooks(), Checkpoint(tmp_path / str(replays), "job"))
        seen.append(objective.batches[::replays])
    assert all(map(torch.equal, *seen))


def test_rates_and_progress_count_steps_and_each_has_its_own_random_numbers(
    build, setting, checkpoint
):
    objective, hooks = Replayed(), Counting()
    chosen = setting(objective, warmup=0.3, **MOVED)
    history = fit(build(0), chosen, hooks, checkpoint)
    total = EPOCHS * STEPS
    assert hooks.rates == [learning_rate(chosen.plan, n, STEPS) for n in range(total)]
    assert history[-1]["lr"] == hooks.rates[-1]
    assert [one.progress for one in objective.moments] == [n / total for n in range(total)]
    assert len({one.generator.initial_seed() for one in objective.moments}) == total


def test_loss_and_accuracy_are_means_over_all_replays(build, setting, checkpoint):
    """Of a network that stands still, they are those of one look."""
    still = {"epochs": 1, "lr": 0.0, "momentum": 0.0, "weight_decay": 0.0}
    (once,) = fit(build(0), setting(**still), Hooks(), checkpoint)
    checkpoint.path.unlink()
    (often,) = fit(build(0), setting(Replayed(), **still), Hooks(), checkpoint)
    assert often["loss"] == pytest.approx(once["loss"], rel=1e-6)
    assert often["train_accuracy"] == pytest.approx(once["train_accuracy"])


@pytest.mark.parametrize("name", tables.OBJECTIVES)
def test_only_who_says_so_is_replayed_or_keeps_anything(build, setting, checkpoint, name):
    objective = tables.load("objectives", name)()
    assert (objective.replays > 1) == (name == "free_at")
    chosen = replace(setting(objective, epochs=1), teacher=build(1).eval().requires_grad_(False))
    fit(build(0), chosen, Hooks(), checkpoint)
    groups, _ = checkpoint.load()
    assert ("memory" in groups) == (name == "free_at")


def test_the_perturbation_is_carried_on_from_batch_to_batch_and_epoch_to_epoch(
    build, setting, checkpoint
):
    begins = []

    class Carried(FreeAt):
        def loss(self, model, images, labels, step):
            begins.append(step.memory.get("delta"))
            return super().loss(model, images, labels, step)

    fit(build(0), setting(Carried(replays=2), epochs=2), Hooks(), checkpoint)
    assert begins[0] is None
    assert all(delta.abs().max() > 0 for delta in begins[1:])
    (memory,) = checkpoint.load()[0]["memory"].values()
    assert memory.abs().max() <= setting().threat.eps


def state_of(path):
    groups, facts = Checkpoint(path, "job").load()
    return {f"{g}|{name}": t for g, members in groups.items() for name, t in members.items()}, facts


def assert_same_end(one, other):
    (tensors, facts), (others, other_facts) = state_of(one), state_of(other)
    assert facts == other_facts
    assert tensors.keys() == others.keys()
    assert [name for name, t in tensors.items() if not torch.equal(t, others[name])] == []


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("at", [1, 2, REPLAYS, REPLAYS + 3, STEPS - 1, STEPS, STEPS + 6])
def test_asked_to_end_at_any_replay_a_training_loses_no_step(
    build, setting, tmp_path, listening, at, optimizer
):
    chosen = setting(FreeAt(replays=REPLAYS), optimizer=optimizer, **MOVED)
    whole = build(0)
    history = fit(whole, chosen, Hooks(), Checkpoint(tmp_path / "whole", "job"))
    killed = Checkpoint(tmp_path / "killed", "job")
    with pytest.raises(interruption.Interrupted):
        fit(build(0), chosen, Counting(at), killed)
    interruption.listen()
    again, rest = build(0), Counting()
    assert fit(again, chosen, rest, killed) == history
    assert len(rest.rates) == EPOCHS * STEPS - at
    assert all(torch.equal(t, again.state_dict()[n]) for n, t in whole.state_dict().items())
    assert_same_end(tmp_path / "killed", tmp_path / "whole")


def test_a_training_that_is_stopped_at_every_step_ends_the_same(
    build, setting, tmp_path, listening
):
    chosen = setting(FreeAt(replays=2), epochs=1, augment="crop", padding=1)
    fit(build(0), chosen, Hooks(), Checkpoint(tmp_path / "whole", "job"))
    killed, stops = Checkpoint(tmp_path / "killed", "job"), 0
    for _ in range(2 * BATCHES):
        with pytest.raises(interruption.Interrupted):
            fit(build(0), chosen, Counting(1), killed)
        interruption.listen()
        stops += 1
    fit(build(0), chosen, Hooks(), killed)
    assert stops == 6
    assert_same_end(tmp_path / "killed", tmp_path / "whole")


def test_a_method_that_counts_steps_counts_replays(build, setting, checkpoint):
    """Flying Bird moves its masks so many times in training, the last time before its end."""
    pruner, moved = FlyingBird(updates=5).pruner(0.5), []
    move = pruner._move
    pruner._move = lambda: (moved.append(pruner.step), move())
    prune(build(0), pruner, setting(FreeAt(replays=REPLAYS), epochs=EPOCHS), checkpoint)
    assert pruner.step == EPOCHS * STEPS
    assert moved == [4, 8, 12, 16, 20]

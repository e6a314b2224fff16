"""A stage that is killed and started again ends bit for bit where an uninterrupted one ends."""

import signal
from dataclasses import dataclass, field, replace

import pytest
import torch

from thin_ice import interruption, tables
from thin_ice.checkpoint import Checkpoint
from thin_ice.objectives.free_at import FreeAt
from thin_ice.objectives.natural import Natural
from thin_ice.objectives.trades import Trades
from thin_ice.pruning.prune import prune
from thin_ice.study.options import entry
from thin_ice.study.pipelines import acting_stage
from thin_ice.training.fit import fit
from thin_ice.training.hooks import Hooks

EPOCHS, STEPS = 3, 3


def acting_plan(method):
    """The published plan of the stage in which a method itself acts."""
    return getattr(method, f"{acting_stage(method.pipeline)}_plan")


FEW = {"trials": 2, "tuning": 0.1}  # of what a method does before it trains
LEARNING = [
    (name, unit)
    for name in tables.METHODS
    if acting_plan(tables.load("methods", name)).get("epochs", 1)
    for unit in tables.load("methods", name).units
]


class Killed(Exception):
    """The scheduler's time limit."""


@dataclass(frozen=True)
class KilledAfterSave(Checkpoint):
    """A real checkpoint after which the job is killed, once."""

    after_epoch: int = 0
    kills: list = field(default_factory=list)

    def save(self, groups, facts):
        super().save(groups, facts)
        if facts["epoch"] == self.after_epoch and not self.kills:
            self.kills.append(facts["epoch"])
            raise Killed


def pruner_of(name, unit):
    """A fresh pruner of a method in one of its units."""
    names = entry("methods", name).options
    options = {option: value for option, value in FEW.items() if option in names}
    return tables.load("methods", name)(**options).pruner(0.8, unit)


def die_in(hooks, name, call):
    """Let the given call (counted from 1) of a hook be the last."""
    original, calls = getattr(hooks, name), []

    def dying(*arguments):
        calls.append(name)
        if len(calls) == call:
            raise Killed
        return original(*arguments)

    setattr(hooks, name, dying)


MOMENTS = {
    "before the first epoch": ("before_epoch", 1),
    "in the first epoch": ("after_step", 2),
    "before the second epoch": ("before_epoch", 2),
    "in the second epoch": ("after_step", STEPS + 2),
    "at the last step": ("after_step", EPOCHS * STEPS),
    "after the first save": 1,
    "after the last save": EPOCHS,
}

# Every moment for a method of each kind, learned scores and duals; for the others two moments.
KILLED = [
    (name, unit, moment)
    for name, unit in LEARNING
    for moment in MOMENTS
    if (name, unit) in (("hydra", "weight"), ("radmm", "weight"))
    or moment in ("in the second epoch", "after the first save")
]


def interrupted(moment, run, path, hooks):
    """Run until killed at the moment. ``hooks`` makes a fresh object for each run."""
    chosen, dying = MOMENTS[moment], hooks()
    if isinstance(chosen, tuple):
        die_in(dying, *chosen)
        checkpoint = Checkpoint(path, "job")
    else:
        checkpoint = KilledAfterSave(path, "job", after_epoch=chosen)
    with pytest.raises(Killed):
        run(dying, checkpoint)


def assert_same_tensors(found, expected):
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


def assert_same_checkpoint(first, second):
    """Weights, best weights, optimiser and hooks, and the facts, to the last bit."""
    (groups, facts), (others, other_facts) = (Checkpoint(p, "job").load() for p in (first, second))
    assert facts == other_facts
    assert groups.keys() == others.keys()
    for group in groups:
        assert_same_tensors(groups[group], others[group])


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize(
    "objective",
    [Natural(), Trades(steps=1), FreeAt(replays=2)],
    ids=["natural", "trades", "free_at"],
)
def test_a_killed_training_ends_where_an_uninterrupted_one_ends(
    build, setting, tmp_path, objective, optimizer, moment
):
    chosen = setting(
        objective, epochs=EPOCHS, optimizer=optimizer, lr=0.02, augment="crop", padding=1
    )
    ended = {}

    def run(hooks, checkpoint):
        model = build(0)
        history = fit(model, chosen, hooks, checkpoint)
        ended["model"], ended["history"] = model.state_dict(), history

    run(Hooks(), Checkpoint(tmp_path / "whole", "job"))
    whole = dict(ended)
    interrupted(moment, run, tmp_path / "killed", Hooks)
    ended.clear()
    run(Hooks(), Checkpoint(tmp_path / "killed", "job"))
    assert ended["history"] == whole["history"]
    assert_same_tensors(ended["model"], whole["model"])
    assert_same_checkpoint(tmp_path / "killed", tmp_path / "whole")
    assert Checkpoint(tmp_path / "whole", "job").load()[0]["optimizer"]


@pytest.mark.parametrize(("name", "unit", "moment"), KILLED)
def test_a_killed_pruning_ends_where_an_uninterrupted_one_ends(
    build, setting, tmp_path, name, unit, moment
):
    chosen = setting(Trades(steps=1), epochs=EPOCHS, lr=0.05, select="last")
    ended = {}

    def run(pruner, checkpoint):
        model = build(0)
        pruned = prune(model, pruner, chosen, checkpoint)
        ended.update(model=model.state_dict(), history=pruned.history)
        ended.update(masks=pruned.masks, state=pruner.state())

    def pruner():
        return pruner_of(name, unit)

    run(pruner(), Checkpoint(tmp_path / "whole", "job"))
    whole = dict(ended)
    interrupted(moment, run, tmp_path / "killed", pruner)
    ended.clear()
    run(pruner(), Checkpoint(tmp_path / "killed", "job"))
    assert ended["history"] == whole["history"]
    for part in ("model", "masks", "state"):
        assert_same_tensors(ended[part], whole[part])
    assert_same_checkpoint(tmp_path / "killed", tmp_path / "whole")


def test_a_tensor_that_stands_under_two_names_is_kept_under_both(tmp_path):
    """As a parameter that two modules share."""
    shared, checkpoint = torch.arange(3.0), Checkpoint(tmp_path / "checkpoint", "job")
    checkpoint.save({"model": {"one": shared, "other": shared}}, {})
    groups, _ = checkpoint.load()
    assert_same_tensors(groups["model"], {"one": shared, "other": shared})


def test_a_training_that_is_killed_again_and_again_ends_there_too(build, setting, tmp_path):
    chosen = setting(Trades(steps=1), epochs=EPOCHS)
    ended = []

    def run(hooks, checkpoint):
        model = build(0)
        ended.append((fit(model, chosen, hooks, checkpoint), model.state_dict()))

    for moment in ("in the first epoch", "after the first save", "before the second epoch"):
        interrupted(moment, run, tmp_path / "killed", Hooks)
    run(Hooks(), Checkpoint(tmp_path / "killed", "job"))
    run(Hooks(), Checkpoint(tmp_path / "whole", "job"))
    assert ended[0][0] == ended[1][0]
    assert_same_tensors(ended[0][1], ended[1][1])


def ask_in(hooks, name, call, number):
    """Have a signal come in the given call (counted from 1) of a hook; and count the steps."""
    original, calls, steps = getattr(hooks, name), [], []

    def asking(*arguments):
        calls.append(name)
        if len(calls) == call:
            signal.raise_signal(number)
        return original(*arguments)

    setattr(hooks, name, asking)
    step = hooks.after_step

    def counting(model):
        steps.append(model)
        return step(model)

    hooks.after_step = counting
    return steps


ASKED = {  # where the signal comes: hook and call, and the steps that are done by then
    "at the first step": ("after_step", 1, 1),
    "within the second epoch": ("after_step", STEPS + 2, STEPS + 2),
    "at the last step of an epoch": ("after_step", STEPS, STEPS),
    "while an epoch is validated": ("after_validation", 2, 2 * STEPS),
    "at the very last step": ("after_step", EPOCHS * STEPS, EPOCHS * STEPS),
}


@pytest.mark.parametrize("name", tables.OBJECTIVES)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_killed_training_with_any_objective_ends_where_an_uninterrupted_one_ends(
    build, setting, tmp_path, name, precision
):
    teacher, ended = build(1).eval().requires_grad_(False), []
    plain = setting(tables.load("objectives", name)(), epochs=2, lr=0.02, precision=precision)
    chosen = replace(plain, teacher=teacher)

    def run(hooks, checkpoint):
        model = build(0)
        ended.append((fit(model, chosen, hooks, checkpoint), model.state_dict()))

    interrupted("in the second epoch", run, tmp_path / "killed", Hooks)
    run(Hooks(), Checkpoint(tmp_path / "killed", "job"))
    run(Hooks(), Checkpoint(tmp_path / "whole", "job"))
    assert ended[0][0] == ended[1][0]
    assert_same_tensors(ended[0][1], ended[1][1])
    assert ("validation_robust" in ended[0][0][0]) == (chosen.objective.goal != "benign")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
@pytest.mark.parametrize("moment", ASKED)
def test_asked_to_end_a_training_loses_no_step(build, setting, tmp_path, listening, moment, number):
    chosen = setting(Trades(steps=1), epochs=EPOCHS, lr=0.02, augment="crop", padding=1)
    whole, killed = build(0), build(0)
    history = fit(whole, chosen, Hooks(), Checkpoint(tmp_path / "whole", "job"))
    hook, call, done = ASKED[moment]
    first, second = Hooks(), Hooks()
    steps = ask_in(first, hook, call, number)
    with pytest.raises(interruption.Interrupted) as raised:
        fit(killed, chosen, first, Checkpoint(tmp_path / "killed", "job"))
    assert raised.value.status == 128 + number
    assert len(steps) == done
    interruption.listen()
    again, rest = build(0), ask_in(second, "after_step", 0, number)
    assert fit(again, chosen, second, Checkpoint(tmp_path / "killed", "job")) == history
    assert len(rest) == EPOCHS * STEPS - done
    assert_same_tensors(again.state_dict(), whole.state_dict())
    assert_same_checkpoint(tmp_path / "killed", tmp_path / "whole")


@pytest.mark.parametrize(("name", "unit"), LEARNING)
def test_asked_to_end_a_pruning_loses_no_step(build, setting, tmp_path, listening, name, unit):
    chosen = setting(Trades(steps=1), epochs=EPOCHS, lr=0.05, select="last")

    def run(pruner, path):
        model = build(0)
        pruned = prune(model, pruner, chosen, Checkpoint(path, "job"))
        return model.state_dict() | pruned.masks, pruner.state()

    def pruner():
        return pruner_of(name, unit)

    whole, state = run(pruner(), tmp_path / "whole")
    asked = pruner()
    ask_in(asked, "after_step", STEPS + 1, signal.SIGTERM)
    with pytest.raises(interruption.Interrupted):
        run(asked, tmp_path / "killed")
    interruption.listen()
    resumed, its_state = run(pruner(), tmp_path / "killed")
    assert_same_tensors(resumed, whole)
    assert_same_tensors(its_state, state)


def test_a_second_signal_does_not_disturb_the_saving(build, setting, tmp_path, listening):
    chosen = setting(Natural(), epochs=EPOCHS)

    class SignalledAgain(Checkpoint):
        def save(self, groups, facts):
            signal.raise_signal(signal.SIGTERM)
            super().save(groups, facts)

    hooks = Hooks()
    ask_in(hooks, "after_step", 2, signal.SIGUSR1)
    with pytest.raises(interruption.Interrupted, match="SIGUSR1"):
        fit(build(0), chosen, hooks, SignalledAgain(tmp_path / "killed", "job"))
    assert Checkpoint(tmp_path / "killed", "job").load()[1]["batch"] == 2


def test_only_the_epochs_that_are_missing_are_run(build, setting, tmp_path, messages):
    def run(hooks, checkpoint):
        fit(build(0), setting(epochs=EPOCHS), hooks, checkpoint)

    interrupted("in the second epoch", run, tmp_path / "killed", Hooks)
    before = len(messages())
    run(Hooks(), Checkpoint(tmp_path / "killed", "job"))
    lines = messages()[before:]
    assert lines[0] == "going on after epoch 1 of 3"
    assert [line.split("  ")[0] for line in lines[1:]] == ["epoch 2/3", "epoch 3/3"]


def other_job(path, saved):
    Checkpoint(path, "another job").save({"model": saved}, {"epoch": 2, "history": []})


def truncated(path, saved):
    Checkpoint(path, "job").save({"model": saved}, {"epoch": 2, "history": []})
    path.write_bytes(path.read_bytes()[:-100])


def garbage(path, saved):
    path.write_bytes(b"\x93not a checkpoint" * 50)


def empty(path, saved):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [other_job, truncated, garbage, empty])
def test_a_checkpoint_that_is_not_this_job_s_is_ignored_with_a_warning(
    build, setting, tmp_path, messages, damage
):
    clean, damaged = build(0), build(0)
    chosen = setting(epochs=1)
    history = fit(clean, chosen, Hooks(), Checkpoint(tmp_path / "clean", "job"))
    damage(tmp_path / "damaged", build(5).state_dict())
    before = len(messages())
    assert fit(damaged, chosen, Hooks(), Checkpoint(tmp_path / "damaged", "job")) == history
    assert_same_tensors(damaged.state_dict(), clean.state_dict())
    (warning,) = (line for line in messages()[before:] if "ignoring" in line)
    assert str(tmp_path / "damaged") in warning
    assert Checkpoint(tmp_path / "damaged", "job").load()[1]["epoch"] == 1


def test_where_no_file_is_there_is_no_checkpoint(tmp_path):
    assert Checkpoint(tmp_path / "checkpoint", "job").load() is None


def test_a_checkpoint_gives_back_groups_types_and_facts(tmp_path):
    checkpoint = Checkpoint(tmp_path / "deep" / "checkpoint", "job")
    groups = {
        "model": {"a.weight": torch.randn(2, 3), "mask": torch.tensor([True, False])},
        "hooks": {"rho": torch.tensor(0.1, dtype=torch.float64), "n": torch.tensor(3)},
    }
    facts = {"epoch": 2, "history": [{"loss": 0.1 + 0.2}]}
    checkpoint.save(groups, facts)
    found, found_facts = checkpoint.load()
    assert found_facts == facts
    for group, members in groups.items():
        assert_same_tensors(found[group], members)
        assert {n: t.dtype for n, t in found[group].items()} == {
            n: t.dtype for n, t in members.items()
        }

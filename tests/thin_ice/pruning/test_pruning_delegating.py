"""A pruner that leaves the work to another does all that the other does, and keeps its state."""

import inspect

import torch

from thin_ice.objectives.pgd_at import PgdAt
from thin_ice.pruning.base import Pruner
from thin_ice.pruning.delegating import Delegating, Watched, prefixed, without
from thin_ice.pruning.prune import prune
from thin_ice.pruning.twinrep import TwinRep
from thin_ice.training.hooks import Hooks

HOOKS = [name for name, _ in inspect.getmembers(Pruner) if not name.startswith("_")]


def test_every_hook_is_passed_on():
    """Also those that are added to `Pruner` one day."""
    asked = []

    class Asked(Pruner):
        def __getattribute__(self, name):
            asked.append(name)
            return super().__getattribute__(name)

        def finish(self, model):
            return {}

    one = Delegating(Asked())
    for name in HOOKS:
        asked.clear()
        found = getattr(one, name)
        if callable(found):
            found(*[{}] * len(inspect.signature(found).parameters))
        assert name in asked, name


def test_states_of_both_are_apart():
    state = prefixed("base.", {"a": torch.tensor(1)}) | prefixed("own.", {"a": torch.tensor(2)})
    assert without(state, "base.") == {"a": torch.tensor(1)}
    assert without(state, "own.") == {"a": torch.tensor(2)}


class Notes(Hooks):
    """Whom it saw, in a tensor."""

    def __init__(self):
        self.epochs = []

    def after_validation(self, model, epoch, row):
        assert row["epoch"] == epoch + 1
        self.epochs.append(epoch)

    def state(self):
        return {"epochs": torch.tensor(self.epochs)}

    def restore(self, state):
        self.epochs = state["epochs"].tolist()


def test_who_watches_sees_what_may_be_chosen_and_changes_nothing(build, setting, checkpoint):
    chosen = setting(PgdAt(steps=1), epochs=5, lr=0.05, validate_every=2)
    options = TwinRep(prune_at=0.5)
    watcher, seen, plain = Notes(), build(0), build(0)
    found = prune(seen, Watched(options.pruner(0.5), watcher), chosen, checkpoint, False)
    assert watcher.epochs == [3, 4]  # validated are 1, 3 and 4; it is pruned before 2
    checkpoint.path.unlink()
    alone = prune(plain, options.pruner(0.5), chosen, checkpoint, False)
    assert all(torch.equal(found.masks[name], mask) for name, mask in alone.masks.items())
    state = plain.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in seen.state_dict().items())
    again = Notes()
    Watched(options.pruner(0.5), again).restore(
        Watched(options.pruner(0.5), watcher).state() | prefixed("base.", alone.masks)
    )
    assert again.epochs == watcher.epochs

"""Pruners that leave the work to another: what they have in common."""

import torch
from torch import Tensor, nn

from thin_ice.pruning.base import Pruner
from thin_ice.sparsity.masks import Masks
from thin_ice.training.hooks import Hooks, Row
from thin_ice.training.setting import Setting

State = dict[str, Tensor]


class Delegating(Pruner):
    """Does as ``base`` does, but for what a subclass overrides. ``base`` alone, or after it whoever
    else has something to remember, keeps its own state, under names that begin with a prefix.
    """

    def __init__(self, base: Pruner) -> None:
        self.base = base

    def looks(self, setting: Setting) -> int:
        return self.base.looks(setting)

    def look(self, model: nn.Module, setting: Setting, number: int) -> None:
        self.base.look(model, setting, number)

    def attach(self, model: nn.Module, setting: Setting) -> None:
        self.base.attach(model, setting)

    def before_training(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.base.before_training(model, optimizer)

    def before_epoch(self, model: nn.Module, epoch: int, epochs: int) -> None:
        self.base.before_epoch(model, epoch, epochs)

    def penalty(self, model: nn.Module) -> Tensor | None:
        return self.base.penalty(model)

    def after_step(self, model: nn.Module) -> None:
        self.base.after_step(model)

    def after_epoch(self, model: nn.Module, epoch: int) -> None:
        self.base.after_epoch(model, epoch)

    @property
    def eligible(self) -> bool:
        return self.base.eligible

    @property
    def finished(self) -> bool:
        return self.base.finished

    def after_validation(self, model: nn.Module, epoch: int, row: Row) -> None:
        self.base.after_validation(model, epoch, row)

    def finish(self, model: nn.Module) -> Masks:
        return self.base.finish(model)

    def state(self) -> State:
        return prefixed("base.", self.base.state()) | prefixed("own.", self.own_state())

    def restore(self, state: State) -> None:
        self.base.restore(without(state, "base."))
        self.restore_own(without(state, "own."))

    def own_state(self) -> State:
        """What the subclass has to remember beside the base's."""
        return {}

    def restore_own(self, state: State) -> None:
        """Take back what `own_state` gave."""


class Watched(Delegating):
    """Does as ``base`` does; ``watcher`` sees the validated epochs that may be chosen."""

    def __init__(self, base: Pruner, watcher: Hooks) -> None:
        super().__init__(base)
        self.watcher = watcher

    def after_validation(self, model: nn.Module, epoch: int, row: Row) -> None:
        super().after_validation(model, epoch, row)
        if self.eligible:
            self.watcher.after_validation(model, epoch, row)

    def own_state(self) -> State:
        return self.watcher.state()

    def restore_own(self, state: State) -> None:
        self.watcher.restore(state)


def prefixed(prefix: str, state: State) -> State:
    """The same tensors, each name with the prefix before it."""
    return {f"{prefix}{name}": value for name, value in state.items()}


def without(state: State, prefix: str) -> State:
    """Those tensors whose names have the prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}

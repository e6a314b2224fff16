"""Where a stage of training stands: network, optimiser, history and the best weights so far."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from thin_ice.checkpoint import Checkpoint
from thin_ice.training.hooks import Hooks, Row
from thin_ice.training.optimizers import EagerAdam, EagerSgd
from thin_ice.training.plan import Plan
from thin_ice.training.sgdw import Sgdw


def make_optimizer(model: nn.Module, plan: Plan) -> torch.optim.Optimizer:
    """The plan's optimiser over whatever is trainable; weight decay applies to all of it."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    if plan.optimizer == "adam":
        return EagerAdam(parameters, lr=plan.lr, weight_decay=plan.weight_decay)
    if plan.optimizer == "sgdw":
        return Sgdw(parameters, plan.lr, plan.momentum, plan.weight_decay)
    return EagerSgd(parameters, lr=plan.lr, momentum=plan.momentum, weight_decay=plan.weight_decay)


@dataclass
class Begun:
    """An epoch that is under way.

    Attributes:
        batch: the next batch, or the one that is being replayed.
        replay: how many steps that batch has had.
        loss: sum over the samples so far, each replay's, 0-dim, on the device.
        correct: how many of them were classified correctly, 0-dim, on the device.
        stream: of the epoch's random numbers; none before the first batch is made.
        drawn: the stream's state before the present batch was drawn, or as a killed job left it.
    """

    batch: int
    loss: Tensor
    correct: Tensor
    replay: int = 0
    stream: torch.Generator | None = None
    drawn: Tensor | None = None

    @classmethod
    def epoch(cls, device: torch.device) -> "Begun":
        """The beginning of one."""
        return cls(0, torch.zeros((), device=device), torch.zeros((), device=device))

    def add(self, loss: Tensor, correct: Tensor, replays: int) -> None:
        """One more step is done, and the batch with it if it was the last of its replays."""
        finished, self.replay = divmod(self.replay + 1, replays)
        self.batch += finished
        self.loss += loss
        self.correct += correct

    def take_up(self, stream: torch.Generator) -> None:
        """Draw from ``stream`` from now on, from where a killed job left it."""
        self.stream = stream
        if self.drawn is not None:
            stream.set_state(self.drawn)

    def before_batch(self) -> None:
        """The next batch is about to be drawn: a job that is killed among its replays draws it
        again.
        """
        self.drawn = self.stream.get_state()

    def tensors(self) -> dict[str, Tensor]:
        drawn = self.drawn if self.replay else self.stream and self.stream.get_state()
        sums = {"loss": self.loss, "correct": self.correct}
        return sums if drawn is None else sums | {"drawn": drawn}


@dataclass
class TrainingState:
    """``epoch`` is the next epoch to run, or the one that has ``begun``; ``best_score`` compares as
    a tuple, robust first; ``memory`` is what the objective keeps from step to step.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    epoch: int = 0
    history: list[Row] = field(default_factory=list)
    best_score: list[float] = field(default_factory=list)
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    begun: Begun | None = None
    memory: dict[str, Tensor] = field(default_factory=dict)

    def record(self, row: Row, score: list[float]) -> None:
        """Close an epoch; without a score it cannot be the best. Of equal scores the later epoch
        wins: it has trained for longer.
        """
        self.history.append(row)
        self.epoch += 1
        self.begun = None
        if score and score >= self.best_score:
            self.best_score = score
            self.best_weights = {k: v.clone() for k, v in self.model.state_dict().items()}

    def save(self, checkpoint: Checkpoint, hooks: Hooks) -> None:
        groups = {
            "model": self.model.state_dict(),
            "best": self.best_weights,
            "optimizer": _optimizer_tensors(self.optimizer),
            "hooks": hooks.state(),
            "memory": self.memory,
        }
        facts = {"epoch": self.epoch, "history": self.history, "best_score": self.best_score}
        if self.begun:
            groups["begun"] = self.begun.tensors()
            facts |= {"batch": self.begun.batch, "replay": self.begun.replay}
        checkpoint.save(groups, facts)

    def resume(self, checkpoint: Checkpoint, hooks: Hooks) -> None:
        """Go on from the checkpoint, if there is one of this job that has come to training."""
        groups, facts = checkpoint.load() or ({}, {})
        if "epoch" not in facts:
            return
        device = next(self.model.parameters()).device
        self.model.load_state_dict(groups["model"])
        self.best_weights = {k: v.to(device) for k, v in groups.get("best", {}).items()}
        self.memory = {k: v.to(device) for k, v in groups.get("memory", {}).items()}
        _restore_optimizer(self.optimizer, groups.get("optimizer", {}))
        hooks.restore({k: v.to(device) for k, v in groups.get("hooks", {}).items()})
        self.epoch, self.history = facts["epoch"], facts["history"]
        self.best_score = facts["best_score"]
        if "begun" in groups:
            drawn = groups["begun"].pop("drawn")
            sums = {name: value.to(device) for name, value in groups["begun"].items()}
            self.begun = Begun(facts["batch"], **sums, replay=facts["replay"], drawn=drawn)


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's memory (momentum, moments, step counts) under flat names."""
    return {
        f"{index}.{name}": value
        for index, memory in optimizer.state_dict()["state"].items()
        for name, value in memory.items()
        if isinstance(value, Tensor)
    }


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    memory: dict[int, dict[str, Any]] = {}
    for key, value in tensors.items():
        index, _, name = key.partition(".")
        memory.setdefault(int(index), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": memory, "param_groups": groups})

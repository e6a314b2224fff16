"""Flying Bird and Flying Bird+: dynamic sparse adversarial training (Chen, Zhang, Wang et al.,
"Sparsity Winning Twice", ICLR 2022).

A network is sparse from the beginning: each layer keeps its IGQ quota (`igq_counts`) of its initial
weights, drawn at random. After every step masked weights, and their momentum, are zero. At equal
distances during training each layer drops the share rho of its weights, ceil(rho m) of the m that
it has, those of least magnitude, and grows as many among those that are masked then: at random, or
those with the largest gradient in the step just made. They begin at zero. rho falls from 0.5 to
0.005 along half a cosine.

Flying Bird+ lets the number of weights follow training. From half of it on, if in at least half of
the last 4 changes between validated epochs the robust generalisation gap has grown (accuracy under
the training adversary minus robust accuracy on validation), a layer drops 1.4 times as many; if in
at least half the validation loss has not fallen, it grows 1.05 times as many. So its sparsity is
near the one that was asked for and no more; tables have the one it has.

Published: 200 epochs at 0.1, falling tenfold at 100 and 150, decay 5e-4, an update every 900 of
some 70,000 steps, growth at random, PGD-10 crafted in training mode, best epoch by robust accuracy
on a validation split.
Deviations: exactly as many weights are grown as are to be, where the released code draws each
masked weight with that expectation, so that a layer's count drifts. The released code stops at its
first update for want of an option; what it would do is described here. Under Adam both of its
moments are masked. For the validation loss, which the paper at hand does not define further, the
cross-entropy under the objective's own adversary is taken.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from thin_ice.attacks.modes import in_mode
from thin_ice.pruning.base import Pruner
from thin_ice.randomness import generator
from thin_ice.sparsity.masks import Masks, kept_count, top_k_mask
from thin_ice.sparsity.prunable import prunable_modules
from thin_ice.sparsity.rates import igq_counts
from thin_ice.sparsity.rewiring import MovingMask
from thin_ice.training.hooks import Row
from thin_ice.training.setting import Setting
from thin_ice.training.validation import BATCH


@dataclass(frozen=True)
class FlyingBird:
    """Sparse from the beginning; each layer drops weights on the way and grows as many."""

    growth: Literal["random", "gradient"] = "random"  # how weights are chosen that come back
    updates: int = 78  # of the masks during training, at equal distances
    death_rate: float = 0.5  # share of its weights that a layer drops at first
    last_death_rate: float = 0.005  # and in the end
    layers: Literal["all", "convolutions"] = "all"  # which layers may be pruned

    limits: ClassVar[dict] = {"death_rate": [0, 1], "last_death_rate": [0, 1]}
    ranges: ClassVar[dict] = {"updates": [0, None]}
    pipeline: ClassVar[str] = "during"
    criterion: ClassVar[str] = "magnitude; dropped and grown again during training"
    paper: ClassVar[str] = "Chen et al., ICLR 2022"
    units: ClassVar[tuple[str, ...]] = ("weight",)
    claimed: ClassVar[str] = "flyingbird_pgd20"
    train_sparse_plan: ClassVar[dict] = {
        "epochs": 200,
        "lr": 0.1,
        "schedule": "step",
        "milestones": [0.5, 0.75],
        "weight_decay": 0.0005,
    }

    def pruner(self, sparsity: float, unit: str = "weight") -> Pruner:
        return FlyingBirdPruner(self, sparsity)


@dataclass(frozen=True)
class FlyingBirdPlus:
    """Flying Bird whose number of weights follows the robust generalisation gap and the loss."""

    growth: Literal["random", "gradient"] = "random"  # how weights are chosen that come back
    updates: int = 78  # of the masks during training, at equal distances
    death_rate: float = 0.5  # share of its weights that a layer drops at first
    last_death_rate: float = 0.005  # and in the end
    begin: float = 0.5  # share of training after which the numbers of weights follow it
    window: int = 4  # changes between validated epochs that are looked at
    drop_more: float = 0.4  # of what is dropped, as long as the gap grows
    grow_more: float = 0.05  # of what is grown, as long as the loss does not fall
    layers: Literal["all", "convolutions"] = "all"  # which layers may be pruned

    limits: ClassVar[dict] = {
        "death_rate": [0, 1],
        "last_death_rate": [0, 1],
        "window": [0, None],
    }
    ranges: ClassVar[dict] = {
        "updates": [0, None],
        "begin": [0, 1],
        "drop_more": [0, 1],
        "grow_more": [0, 1],
    }
    pipeline: ClassVar[str] = "during"
    criterion: ClassVar[str] = "magnitude; numbers follow the generalisation gap and the loss"
    paper: ClassVar[str] = "Chen et al., ICLR 2022"
    units: ClassVar[tuple[str, ...]] = ("weight",)
    claimed: ClassVar[str] = "flyingbird_pgd20"
    train_sparse_plan: ClassVar[dict] = {
        "epochs": 200,
        "lr": 0.1,
        "schedule": "step",
        "milestones": [0.5, 0.75],
        "weight_decay": 0.0005,
    }

    def pruner(self, sparsity: float, unit: str = "weight") -> Pruner:
        return FlyingBirdPlusPruner(self, sparsity)


def death_rate(first: float, last: float, done: float) -> float:
    """The share of weights that is dropped when ``done`` of training is: along half a cosine."""
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * done))


def moved(mask: Tensor, magnitudes: Tensor, growth: Tensor, kept: int, grown: int) -> Tensor:
    """The mask after an update: the ``kept`` largest magnitudes under it, and of all other weights
    the ``grown`` with the largest ``growth``.
    """
    stay = top_k_mask(magnitudes.masked_fill(~mask, -1.0), kept)
    return stay | top_k_mask(growth.masked_fill(stay, -1.0), grown)


class FlyingBirdPruner(Pruner):
    """Each prunable weight carries a `MovingMask`; what is counted here are steps."""

    def __init__(self, options: FlyingBird | FlyingBirdPlus, sparsity: float) -> None:
        self.options, self.sparsity = options, sparsity
        self.step = 0
        self.counts: dict[str, int] = {}  # of the weights that each layer has
        self.modules: dict[str, nn.Module] = {}
        self.optimizer: torch.optim.Optimizer | None = None
        self.setting: Setting | None = None

    def attach(self, model: nn.Module, setting: Setting) -> None:
        self.setting, self.modules = setting, prunable_modules(model, self.options.layers)
        sizes = {name: module.weight.numel() for name, module in self.modules.items()}
        counts = igq_counts(sizes, kept_count(sum(sizes.values()), self.sparsity))
        for name, module in self.modules.items():
            mask = top_k_mask(self._random(module.weight, "initial", name), counts[name])
            with torch.no_grad():
                module.weight.mul_(mask)
            parametrize.register_parametrization(module, "weight", MovingMask(mask))

    def before_training(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer
        self.counts = {name: int(mask.sum()) for name, mask in self._masks().items()}

    def after_step(self, model: nn.Module) -> None:
        self.step += 1
        self._hold()
        if self._due:
            self._move()
            self._hold()

    @property
    def _steps(self) -> int:
        return self.setting.plan.epochs * self.setting.steps_per_epoch

    @property
    def _due(self) -> bool:
        """Whether a part of training ends with this step, of which there is one more than updates:
        the last part is followed by nothing.
        """
        parts = min(self.options.updates, self._steps - 1) + 1
        done, before = (step * parts // self._steps for step in (self.step, self.step - 1))
        return before < done < parts

    @torch.no_grad()
    def _hold(self) -> None:
        """Masked weights are zero, and whatever the optimiser remembers of them."""
        for module in self.modules.values():
            carried = module.parametrizations.weight
            carried.original.mul_(carried[0].mask)
            for memory in self.optimizer.state[carried.original].values():
                if memory.shape == carried.original.shape:
                    memory.mul_(carried[0].mask)

    @torch.no_grad()
    def _move(self) -> None:
        done = self.step / self._steps
        rate = death_rate(self.options.death_rate, self.options.last_death_rate, done)
        more_dropped, more_grown = self._factors()
        for name, module in self.modules.items():
            carried, count = module.parametrizations.weight, self.counts[name]
            replaced = math.ceil(rate * count)
            kept = count - min(math.ceil(more_dropped * replaced), count)
            grown = min(math.ceil(more_grown * replaced), carried.original.numel() - kept)
            mask = carried[0].mask
            mask.copy_(
                moved(mask, carried.original.abs(), self._growth(name, carried), kept, grown)
            )
            self.counts[name] = kept + grown

    def _factors(self) -> tuple[float, float]:
        """How many times as many weights are dropped, and grown."""
        return 1.0, 1.0

    def _growth(self, name: str, carried: nn.Module) -> Tensor:
        """What decides who comes back, not negative."""
        if self.options.growth == "gradient":
            return carried.original.grad.abs()
        return self._random(carried.original, "growth", self.step, name)

    def _random(self, like: Tensor, *names: str | int) -> Tensor:
        """Uniform numbers, drawn on the CPU, so that they are the same on every device."""
        stream = generator("cpu", *self.setting.stream, *names)
        return torch.rand(like.shape, generator=stream).to(like.device)

    def _masks(self) -> Masks:
        return {name: m.parametrizations.weight[0].mask for name, m in self.modules.items()}

    def finish(self, model: nn.Module) -> Masks:
        return {name: mask.clone() for name, mask in self._masks().items()}

    def state(self) -> dict[str, Tensor]:
        return {"step": torch.tensor(self.step)}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.step = int(state["step"])


class FlyingBirdPlusPruner(FlyingBirdPruner):
    """Remembers gaps and losses of the validated epochs, the newest last."""

    def __init__(self, options: FlyingBirdPlus, sparsity: float) -> None:
        super().__init__(options, sparsity)
        self.gaps: list[float] = []
        self.losses: list[float] = []

    def after_validation(self, model: nn.Module, epoch: int, row: Row) -> None:
        accuracy = row.get("validation_robust", row["validation_clean"])
        self.gaps.append(row["train_accuracy"] - accuracy)
        self.losses.append(validation_loss(model, self.setting))

    def _factors(self) -> tuple[float, float]:
        if self.step < self.options.begin * self._steps:
            return 1.0, 1.0
        gaps, losses = (changes(v, self.options.window) for v in (self.gaps, self.losses))
        overfits = mostly([change > 0 for change in gaps])
        stagnates = mostly([change >= 0 for change in losses])
        return 1 + self.options.drop_more * overfits, 1 + self.options.grow_more * stagnates

    def state(self) -> dict[str, Tensor]:
        seen = {"gaps": self.gaps, "losses": self.losses}
        tensors = {name: torch.tensor(v, dtype=torch.float64) for name, v in seen.items()}
        return super().state() | tensors

    def restore(self, state: dict[str, Tensor]) -> None:
        super().restore(state)
        self.gaps, self.losses = state["gaps"].tolist(), state["losses"].tolist()


def changes(values: list[float], window: int) -> list[float]:
    """The last ``window`` differences between neighbours, or as many as there are."""
    recent = values[-window - 1 :]
    return [after - before for before, after in pairwise(recent)]


def mostly(signs: list[bool]) -> bool:
    """Whether at least half of them are true; of none, no."""
    return bool(signs) and 2 * sum(signs) >= len(signs)


def validation_loss(model: nn.Module, setting: Setting) -> float:
    """Mean cross-entropy on the validation split as the objective's own adversary leaves it, of the
    network in evaluation mode. Random numbers are the same at every call.
    """
    step, total = setting.step("validation loss", progress=1.0), torch.zeros(())
    with in_mode(model, "eval"):
        for images, labels in setting.validation.batches(BATCH):
            attacked = setting.objective.perturb(model, images, labels, step)
            with torch.no_grad():
                total = total.to(images.device) + F.cross_entropy(
                    model(attacked), labels, reduction="sum"
                )
    return float(total) / len(setting.validation)

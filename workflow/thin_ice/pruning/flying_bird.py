"""Flying Bird: dynamic sparse adversarial training (Chen, Zhang, Wang et al., "Sparsity Winning
Twice", ICLR 2022).

A network is sparse from the beginning: each layer keeps its IGQ quota (`igq_counts`) of its initial
weights, drawn at random. After every step masked weights, and their momentum, are zero. At equal
distances during training each layer drops the share rho of its weights, ceil(rho m) of the m that
it has, those of least magnitude, and grows as many among those that are masked then: at random, or
those with the largest gradient in the step just made. They begin at zero. rho falls from 0.5 to
0.005 along half a cosine.

Published: 200 epochs at 0.1, falling tenfold at 100 and 150, decay 5e-4, an update every 900 of
some 70,000 steps, growth at random, PGD-10 crafted in training mode, best epoch by robust accuracy
on a validation split.
Deviations: exactly as many weights are grown as are to be, where the released code draws each
masked weight with that expectation, so that a layer's count drifts. The released code stops at its
first update for want of an option; what it would do is described here. Under Adam both of its
moments are masked.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from thin_ice.pruning.base import Pruner
from thin_ice.randomness import generator
from thin_ice.sparsity.masks import Masks, kept_count, top_k_mask
from thin_ice.sparsity.prunable import prunable_modules
from thin_ice.sparsity.rates import igq_counts
from thin_ice.sparsity.rewiring import MovingMask
from thin_ice.training.setting import Setting


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

    def __init__(self, options: FlyingBird, sparsity: float) -> None:
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

"""A random local search for how many weights each layer keeps.

Its first trials are the uniform allocation, ERK and that of one threshold on all magnitudes; each
further one multiplies the best densities so far by exp(spread N(0, 1)). No layer is left empty. A
trial prunes a copy of the network by magnitude, trains it for a share of an epoch with the stage's
objective and counts robust, then clean accuracy on the validation split. Of equal trials the
earlier wins, so that a search which learns nothing ends uniform.
"""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from thin_ice.pruning.base import detached
from thin_ice.randomness import generator
from thin_ice.sparsity.costs import affordable_counts, weight_terms
from thin_ice.sparsity.masks import kept_count
from thin_ice.sparsity.parametrizations import fix_masks
from thin_ice.sparsity.prunable import Layers, prunable_weights
from thin_ice.sparsity.rates import (
    Counts,
    Densities,
    erdos_renyi_kernel,
    magnitude_densities,
    masks_of,
)
from thin_ice.training.optimizers import EagerSgd
from thin_ice.training.setting import Setting
from thin_ice.training.validation import score, validate

COUNT = "count."  # before a layer's name in the state


@dataclass
class RateSearch:
    """The search's options, and the best counts and their score so far."""

    sparsity: float
    layers: Layers
    spread: float
    tuning: float
    lr: float
    best: Counts = field(default_factory=dict)
    best_score: list[float] = field(default_factory=list)

    def trial(self, model: nn.Module, setting: Setting, number: int) -> None:
        """Try one allocation, number ``number`` of the search, on a copy of the network."""
        weights = detached(prunable_weights(model, self.layers))
        counts = self.proposal(weights, generator("cpu", *setting.stream, "rates", number), number)
        found = self._score(model, setting, number, counts)
        if found > self.best_score:
            self.best, self.best_score = counts, found

    def proposal(
        self, weights: Mapping[str, Tensor], stream: torch.Generator, number: int
    ) -> Counts:
        """What a trial tries: one of the known allocations, or a neighbour of the best one."""
        sizes = {name: weight.numel() for name, weight in weights.items()}
        known = known_densities(weights, self.sparsity)
        densities = known[number] if number < len(known) else self._neighbour(sizes, stream)
        keep = sum(kept_count(size, self.sparsity) for size in sizes.values())
        return affordable_counts(weight_terms(sizes), sizes, densities, keep)

    def _neighbour(self, sizes: Mapping[str, int], stream: torch.Generator) -> Densities:
        factors = (self.spread * torch.randn(len(sizes), generator=stream)).exp().tolist()
        return {
            name: self.best[name] / size * factor
            for (name, size), factor in zip(sizes.items(), factors, strict=True)
        }

    def _score(
        self, model: nn.Module, setting: Setting, number: int, counts: Counts
    ) -> list[float]:
        """How good a network is that was pruned with these counts and trained a little."""
        candidate = copy.deepcopy(model)
        weights = detached(prunable_weights(candidate, self.layers))
        fix_masks(candidate, masks_of({name: w.abs() for name, w in weights.items()}, counts))
        optimizer = EagerSgd(candidate.parameters(), self.lr, momentum=0.9)
        steps = math.ceil(self.tuning * setting.batches_per_epoch)
        candidate.train()
        for step in range(number * steps, (number + 1) * steps):
            images, labels = setting.batch(step)
            optimizer.zero_grad(set_to_none=True)
            moment = setting.step("look", "loss", step, progress=0.0)
            setting.objective.loss(candidate, images, labels, moment).value.backward()
            optimizer.step()
        return score(validate(candidate, setting))

    def state(self) -> dict[str, Tensor]:
        """All that the next trial depends on."""
        counts = {f"{COUNT}{name}": torch.tensor(count) for name, count in self.best.items()}
        return counts | {"score": torch.tensor(self.best_score, dtype=torch.float64)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` gave."""
        self.best_score = state["score"].tolist()
        self.best = {
            name.removeprefix(COUNT): int(count)
            for name, count in state.items()
            if name.startswith(COUNT)
        }


def known_densities(weights: Mapping[str, Tensor], sparsity: float) -> list[Densities]:
    """Allocations that need no search, uniform first."""
    shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
    return [
        dict.fromkeys(weights, 1.0),
        erdos_renyi_kernel(shapes),
        magnitude_densities(weights, sparsity),
    ]

"""The finished tables of a study, and the few things that figures and text both ask of them."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from thin_ice.figures.standing import standing
from thin_ice.margins.analysis import CONTROLS, DENSE, DENSE_AGAIN

FEW_SAMPLES = 5  # fewer lost (or kept) samples than this say nothing about a pair
FEW_SEEDS = 5  # fewer seeds than this say nothing about a population of networks
VIEWS = ("clean", "robust")
Pair = tuple[str, float]  # method (or a control) and sparsity


@dataclass(frozen=True)
class Twins:
    """A dense network's thinnest-ice samples and their nearest adversarial twins.

    Attributes:
        run: the network's.
        seed: the network's.
        table: a row a sample, as the twins' stage wrote it.
        images: uint8 (K, C, H, W).
        twins: float (K, C, H, W) in [0, 1].
    """

    run: str
    seed: int
    table: pd.DataFrame
    images: np.ndarray
    twins: np.ndarray


@dataclass(frozen=True)
class Finished:
    """The tables as the analysis wrote them, and ``averages`` and ``mismatch``, which are over all
    runs; ``study`` resolved.
    """

    accuracy: pd.DataFrame
    thin_ice: pd.DataFrame
    samples: pd.DataFrame
    curves: pd.DataFrame
    optimality: pd.DataFrame
    overestimate: pd.DataFrame
    study: dict[str, Any]
    predictors: pd.DataFrame = field(default_factory=pd.DataFrame)
    thickness: pd.DataFrame = field(default_factory=pd.DataFrame)
    joint: pd.DataFrame = field(default_factory=pd.DataFrame)
    classes: pd.DataFrame = field(default_factory=pd.DataFrame)
    pies: pd.DataFrame = field(default_factory=pd.DataFrame)
    overlap: pd.DataFrame = field(default_factory=pd.DataFrame)
    movement: pd.DataFrame = field(default_factory=pd.DataFrame)
    sizes: pd.DataFrame = field(default_factory=pd.DataFrame)
    preservation: pd.DataFrame = field(default_factory=pd.DataFrame)
    averages: pd.DataFrame = field(default_factory=pd.DataFrame)
    mismatch: pd.DataFrame = field(default_factory=pd.DataFrame)
    certified: pd.DataFrame = field(default_factory=pd.DataFrame)
    training: pd.DataFrame = field(default_factory=pd.DataFrame)
    twins: tuple[Twins, ...] = ()

    @property
    def eps(self) -> float:
        return self.study["threat"]["eps"]

    @property
    def norm(self) -> str:
        """The norm that figures show: the threat model's, or the first one with distances."""
        norms = list(self.samples.norm.unique())
        threat = self.study["threat"]["norm"]
        return threat if threat in norms or not norms else norms[0]

    @cached_property
    def runs(self) -> list[str]:
        return list(self.accuracy.run.unique())

    @cached_property
    def methods(self) -> list[str]:
        """In the order of the study."""
        unpruned = (DENSE, DENSE_AGAIN)
        return [name for name in self.accuracy.method.unique() if name not in unpruned]

    @cached_property
    def seeds(self) -> list[int]:
        return sorted(int(seed) for seed in self.accuracy.seed.unique())

    @cached_property
    def views(self) -> list[str]:
        """The kinds of correctness that were analysed, clean first."""
        return [view for view in VIEWS if view in set(self.main_samples.correctness)]

    @cached_property
    def main_samples(self) -> pd.DataFrame:
        """The per-sample table in the norm that figures show."""
        return self.samples[self.samples.norm == self.norm]

    @cached_property
    def main_pairs(self) -> pd.DataFrame:
        """The thin-ice table in the norm that figures show."""
        return self.thin_ice[self.thin_ice.norm == self.norm]

    def pairs(self, run: str) -> list[Pair]:
        """Compared networks of a run: methods in order, sparsity rising, controls last."""
        here = self.thin_ice[self.thin_ice.run == run]
        found = set(zip(here.method, here.sparsity, strict=True))
        order = [*self.methods, *CONTROLS]
        return sorted(found, key=lambda pair: (order.index(pair[0]), pair[1]))

    @cached_property
    def all_pairs(self) -> list[Pair]:
        """Compared networks of all runs, each once: sparsity rising, controls last."""
        found = {pair for run in self.runs for pair in self.pairs(run)}
        return sorted(found, key=lambda pair: (pair[0] in CONTROLS, pair[1], pair[0]))

    @cached_property
    def compared_methods(self) -> list[tuple[str, str]]:
        """Each run and method with a compared network; of a run that has controls alone, these."""
        found = []
        for run in self.runs:
            methods = list(dict(self.pairs(run)))
            pruned = [name for name in methods if name not in CONTROLS]
            found += [(run, name) for name in pruned or methods]
        return found

    @cached_property
    def standing(self) -> "Finished":
        """The study without its collapsed networks; the same object where there are none."""
        left = standing(vars(self))
        return replace(self, **left) if left else self

    def main(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of a table in the norm that figures show; rows of no norm stay."""
        if "norm" not in table:
            return table
        return table[table.norm.fillna("").isin(["", self.norm])]

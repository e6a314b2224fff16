"""A pair of networks as all the tables of a run see it: who was lost, and what might have told."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from thin_ice.margins.analysis import Pair, values_of
from thin_ice.margins.ice import Correctness, boundary_distance, compare
from thin_ice.margins.resampling import Counts, Flags, Values, stratified_counts

CORRECTNESS: tuple[Correctness, ...] = ("clean", "robust")
PAIR_COLUMNS = ("run", "seed", "other", "method", "sparsity")
VIEW_COLUMNS = (*PAIR_COLUMNS, "correctness")

DISTANCE = "distance"
OTHER_SEED = "other_seed_distance"
BREAKING = "breaking_distance"
CERTIFIED = "certified_radius"
SMOOTHED = "smoothed_radius"
NORMALISED = "normalised_distance"
RIVALS = {  # columns of the table of rivals; the sign makes low values expect a loss
    "logit_margin": 1,
    "confidence_variance": -1,
    "gradient_norm": -1,
    "steps_to_flip": 1,
    "adversarial_loss": -1,
}
PREDICTORS = (DISTANCE, OTHER_SEED, BREAKING, CERTIFIED, SMOOTHED, *RIVALS, NORMALISED)
NO_NORM = ""

Scores = dict[tuple[str, str], Values]


@dataclass(frozen=True)
class Setting:
    """What the tables of a run are computed for, and how.

    Attributes:
        norms: in which there are distances.
        threat_norm: the threat model's.
        eps: the threat model's.
        resamples: behind every bootstrap interval.
        seed: of the resamples and the folds; each row starts from it anew, so that no row depends
            on which others there are.
    """

    norms: tuple[str, ...]
    threat_norm: str
    eps: float
    resamples: int
    seed: int

    def norms_of(self, correctness: Correctness) -> tuple[str, ...]:
        """The norms that a correctness is looked at in: robust in the threat model's own, because
        its boundary lies at the threat model's eps.
        """
        return tuple(n for n in self.norms if correctness == "clean" or n == self.threat_norm)

    def rng(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)


@dataclass(frozen=True)
class View:
    """One pair under one kind of correctness.

    Attributes:
        pair: the networks.
        correctness: clean or robust.
        table: sample_id, label and set of every sample.
        setting: what the run is analysed for.
    """

    pair: Pair
    correctness: Correctness
    table: pd.DataFrame
    setting: Setting

    @property
    def labels(self) -> dict[str, object]:
        return self.pair.labels | {"correctness": self.correctness}

    @cached_property
    def right(self) -> pd.DataFrame:
        """The samples that the dense network has right; "lost" is judged among them."""
        return self.table[self.table.set.isin(["kept", "lost"])]

    @cached_property
    def lost(self) -> Flags:
        """Of the samples in `right`: whether the other network has it wrong."""
        return (self.right.set == "lost").to_numpy()

    def counts(self) -> Counts:
        """Resamples of the samples in `right`, one set for all scores. Not kept: of many pairs they
        would fill the memory.
        """
        return stratified_counts(self.lost, self.setting.resamples, self.setting.rng())

    @cached_property
    def scores(self) -> Scores:
        """By predictor and norm, a value for each sample in `right`; low ones expect a loss.

        What was not measured is absent. So is the other seed's distance where that seed's network
        is the one compared with: it would know the answer.
        """
        found = dict(self._distances()) | dict(self._breaking())
        found |= dict(self._certified()) | dict(self._rivals())
        return {key: found[key] for key in sorted(found, key=_place)}

    def _distances(self) -> Iterator[tuple[tuple[str, str], Values]]:
        following = None if self.pair.second_seed else self.pair.following
        sensitivity = self.pair.other.sensitivity
        for norm in self.setting.norms_of(self.correctness):
            distance = self._to_boundary(self.pair.dense.distances, norm)
            yield (DISTANCE, norm), distance
            if following is not None:
                yield (OTHER_SEED, norm), self._to_boundary(following.distances, norm)
            if sensitivity is not None:
                change = np.abs(self._values(sensitivity, "predicted_change"))
                with np.errstate(divide="ignore", invalid="ignore"):
                    yield (NORMALISED, norm), distance / change

    def _to_boundary(self, distances: pd.DataFrame, norm: str) -> Values:
        signed = values_of(distances, f"signed_distance_{norm.lower()}", self.table)
        right = pd.Series(signed)[self.right.index]
        return boundary_distance(right, self.correctness, self.setting.eps).to_numpy(np.float64)

    def _breaking(self) -> Iterator[tuple[tuple[str, str], Values]]:
        """How far beyond eps AutoAttack breaks a sample: the middle of its bracket, less eps."""
        table = self.pair.dense.breaking
        if table is not None and self.correctness == "robust":
            ends = [self._values(table, f"{end}_eps") for end in ("standing", "breaking")]
            middle = (ends[0] + ends[1]) / 2
            yield (BREAKING, self.setting.threat_norm), np.abs(middle - self.setting.eps)

    def _certified(self) -> Iterator[tuple[tuple[str, str], Values]]:
        """The radii themselves, for robust correctness too. A radius is a lower bound of distance:
        below eps it does not place a robust sample on the other side of the boundary at eps, but
        says that less is proved. So it grows with what is left until a loss; its distance to eps
        would make a sample of which nothing is proved as safe as one with twice eps.

        Smoothing's radius is in L2 whatever the threat model and of the smoothed network, so it is
        no distance of this one in any norm: it stands under none, as the rivals do.
        """
        if (table := self.pair.dense.certified) is not None:
            for name, norm in ((CERTIFIED, self.setting.threat_norm), (SMOOTHED, NO_NORM)):
                if name in table:
                    yield (name, norm), self._values(table, name)

    def _rivals(self) -> Iterator[tuple[tuple[str, str], Values]]:
        if (table := self.pair.dense.rivals) is not None:
            for name, sign in RIVALS.items():
                yield (name, NO_NORM), sign * self._values(table, name)

    def _values(self, table: pd.DataFrame, column: str) -> Values:
        values = values_of(table, column, self.table).astype(np.float64)
        return values[self.right.index]


def views_of(pair: Pair, setting: Setting) -> list[View]:
    """A pair under clean and under robust correctness."""
    tables = {c: compare(pair.dense.samples, pair.other.samples, c) for c in CORRECTNESS}
    return [View(pair, c, table, setting) for c, table in tables.items()]


def _place(key: tuple[str, str]) -> tuple[int, str]:
    return PREDICTORS.index(key[0]), key[1]

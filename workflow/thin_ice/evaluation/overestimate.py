"""The overestimate table: what a method claims above AutoAttack, and what each mechanism hides.

Every difference is paired: the same network and the same samples, attacked in two ways. Seeds are
averaged sample by sample first, so that an interval is over samples, with the trained networks
held fixed; how much the networks differ is the spread over seeds.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from thin_ice.attacks.switches import LAST, MECHANISMS, RERUN, SELECTION, TRAIN_MODE

Values = NDArray[np.float64]
PAIR = ("run", "method", "sparsity", "protocol")
QUANTILES = (0.025, 0.975)
ENDS = ("points", "low", "high")
NOTHING = (float("nan"),) * len(ENDS)
COLUMNS = (
    *PAIR,
    *("seeds", "samples", "claimed_percent", "autoattack_percent"),
    *(f"overestimate_{what}" for what in (*ENDS, "sd", "min", "max")),
    *(f"{name}_{end}" for name in (*MECHANISMS, TRAIN_MODE) for end in ENDS),
)


@dataclass(frozen=True)
class Evaluated:
    """One network's per-sample outcomes under one protocol.

    Attributes:
        names: run, seed, method and sparsity.
        samples: as the evaluation wrote them.
        selection: per sample the outcomes at the two checkpoints, where that was measured.
    """

    names: dict
    protocol: str
    samples: pd.DataFrame
    selection: pd.DataFrame | None = None

    def column(self, name: str) -> pd.Series:
        """An outcome by the name that follows ``claimed_PROTOCOL``."""
        return self.samples[f"claimed_{self.protocol}{name}"].astype(float)

    def lost(self) -> Iterator[tuple[str, Values]]:
        """By mechanism, per sample: 1 where the claim counts it and the sound choice does not,
        -1 the other way round. A mechanism without a switch is absent.
        """
        claimed, several = self.column(""), f"claimed_{self.protocol}"
        yield "overestimate", (claimed - self.samples.robust).to_numpy()
        for name in (*RERUN, LAST):
            if f"{several}_{name}" in self.samples:
                yield name, (claimed - self.column(f"_{name}")).to_numpy()
        if f"{several}_{TRAIN_MODE}" in self.samples:
            yield TRAIN_MODE, (self.column(f"_{TRAIN_MODE}") - claimed).to_numpy()
        if self.selection is not None:
            best, chosen = self.selection.best_on_test, self.selection.chosen_on_validation
            yield SELECTION, (best.astype(float) - chosen).to_numpy()


def overestimate_table(networks: list[Evaluated], resamples: int, seed: int) -> pd.DataFrame:
    """One row a run, method, sparsity and protocol, in the order of ``networks``.

    Columns: seeds and samples; claimed and AutoAttack accuracy in percent, means over seeds; the
    overestimate in points with its interval at 95 %, and its standard deviation (NaN with one
    seed), minimum and maximum over seeds; then for each mechanism the points that it alone hides,
    with interval; NaN where the protocol is sound in it. ``train_mode_points`` is the reverse of
    ``mode_points``: what more would be claimed were the network attacked in training mode.
    """
    groups: dict[tuple, list[Evaluated]] = {}
    for one in networks:
        key = (*(one.names[name] for name in PAIR[:-1]), one.protocol)
        groups.setdefault(key, []).append(one)
    rows = [
        dict(zip(PAIR, key, strict=True)) | _row(members, resamples, seed)
        for key, members in groups.items()
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(members: list[Evaluated], resamples: int, seed: int) -> dict[str, float]:
    """Each mechanism draws from the same stream, so that none depends on which others there are."""
    by_seed: dict[str, list[Values]] = {}
    for member in members:
        for name, lost in member.lost():
            by_seed.setdefault(name, []).append(lost)
    points = [100 * float(lost.mean()) for lost in by_seed["overestimate"]]
    row: dict[str, float] = {
        "seeds": len(members),
        "samples": len(members[0].samples),
        "claimed_percent": 100 * float(np.mean([m.column("").mean() for m in members])),
        "autoattack_percent": 100 * float(np.mean([m.samples.robust.mean() for m in members])),
    }
    for name in ("overestimate", *MECHANISMS, TRAIN_MODE):
        values = NOTHING
        if name in by_seed:
            values = interval(np.mean(by_seed[name], axis=0), resamples, seed)
        row |= dict(zip((f"{name}_{end}" for end in ENDS), values, strict=True))
        if name == "overestimate":
            row["overestimate_sd"] = float(np.std(points, ddof=1)) if len(points) > 1 else np.nan
            row |= {"overestimate_min": min(points), "overestimate_max": max(points)}
    return row


def interval(lost: Values, resamples: int, seed: int) -> tuple[float, float, float]:
    """Mean of the samples' differences in points, and its bootstrap interval at 95 %.

    A percentile bootstrap of what was seen alone is too narrow where few samples differ, and has
    no width where none does. So one sample that was lost and one that was gained are added before
    resampling, the pseudo-observations of Bonett & Price (2012), whose adjusted interval for
    paired proportions this then is, but for its normal approximation.

    A resample of n values with few distinct ones is a multinomial draw of their counts, so the
    resamples are one matrix product.
    """
    values, counts = np.unique(np.append(lost, [-1.0, 1.0]), return_counts=True)
    size = counts.sum()
    draws = np.random.default_rng(seed).multinomial(size, counts / size, size=resamples)
    low, high = np.quantile(draws @ values / size, QUANTILES)
    return 100 * float(lost.mean()), 100 * float(low), 100 * float(high)

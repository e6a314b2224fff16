"""Every dense network against every network pruned from it, and against the dense network of
another seed: the control that says how much of the effect is churn from chance alone.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from thin_ice.margins.ice import (
    SETS,
    Correctness,
    boundary_distance,
    compare,
    require_same_samples,
)
from thin_ice.margins.statistics import auroc_with_interval

DENSE = "dense"
SECOND_SEED = "second_seed"  # the method columns of control pairs
DENSE_AGAIN = "dense_again"
CONTROLS = (SECOND_SEED, DENSE_AGAIN)
CONTROL = SECOND_SEED

LABELS = {"run": str, "seed": int, "other": str, "method": str, "sparsity": float}
LABELS |= {"correctness": str, "norm": str}
_DISTANCES = {"signed_distance": "float32", "boundary_distance": "float32"}
_STATISTICS = [f"{name}_samples" for name in SETS]
_MEASURES = [f"{name}_median_distance" for name in SETS]
_MEASURES += [f"auroc_{name}{end}" for name in ("lost", "rescued") for end in ("", "_low", "_high")]


def _columns(types: dict) -> dict[str, pd.Series]:
    return {name: pd.Series(dtype=kind) for name, kind in types.items()}


# The tables of a run that has only one dense network: every column, with its type, and no row.
NO_SAMPLES = _columns({"sample_id": int, "label": int, "set": str} | _DISTANCES | LABELS)
NO_PAIRS = _columns(LABELS | dict.fromkeys(_STATISTICS, int) | dict.fromkeys(_MEASURES, float))


@dataclass(frozen=True)
class Network:
    """One evaluated network: where it stands in the study, and its per-sample table."""

    run: str  # DATASET-MODEL-OBJECTIVE
    seed: int
    variant: str  # dense, or METHOD-SPARSITY
    method: str
    sparsity: float
    samples: pd.DataFrame


@dataclass(frozen=True)
class Pair:
    """A dense network with its distances, and the network it is compared with."""

    dense: Network
    distances: pd.DataFrame
    other: Network

    @property
    def labels(self) -> dict[str, object]:
        """What names the pair in every table. A control is a dense network of another seed."""
        control = self.other.variant == DENSE
        return {
            "run": self.dense.run,
            "seed": self.dense.seed,
            "other": f"{DENSE}, seed {self.other.seed}" if control else self.other.variant,
            "method": CONTROL if control else self.other.method,
            "sparsity": self.other.sparsity,
        }


def pairs_of(networks: list[Network], distances: dict[tuple[str, int], pd.DataFrame]) -> list[Pair]:
    """Each dense network with its pruned ones and with the next seed's dense one.

    ``distances``: by (run, seed), the table of distances to that dense network's boundary.
    """
    dense = {(n.run, n.seed): n for n in networks if n.variant == DENSE}
    pruned = [n for n in networks if n.variant != DENSE]
    pairs = [Pair(dense[n.run, n.seed], distances[n.run, n.seed], n) for n in pruned]
    for run in sorted({run for run, _ in dense}):
        seeds = sorted(seed for name, seed in dense if name == run)
        for seed, following in zip(seeds, seeds[1:] + seeds[:1], strict=True):
            if following != seed:
                pairs.append(Pair(dense[run, seed], distances[run, seed], dense[run, following]))
    return pairs


def sample_table(pair: Pair, correctness: Correctness, norm: str, eps: float) -> pd.DataFrame:
    """One row a sample: the pair's labels, the sample's set, its signed distance in ``norm`` and
    its distance to the boundary that matters (see `thin_ice.margins.ice`).
    """
    table = compare(pair.dense.samples, pair.other.samples, correctness)
    require_same_samples(table, pair.distances, "a network's evaluation and its distances")
    column = f"signed_distance_{norm.lower()}"
    table = table.merge(pair.distances[["sample_id", column]], on="sample_id", validate="1:1")
    table = table.rename(columns={column: "signed_distance"})
    table["boundary_distance"] = boundary_distance(table.signed_distance, correctness, eps)
    return table.assign(**pair.labels, correctness=correctness, norm=norm)


def pair_statistics(samples: pd.DataFrame, resamples: int, seed: int) -> dict[str, object]:
    """One row of the thin-ice table from one `sample_table`: set sizes, median distances, and how
    well distance tells lost from kept and rescued from kept.
    """
    rng = np.random.default_rng(seed)
    values = {
        name: samples.boundary_distance[samples.set == name].to_numpy(dtype=float) for name in SETS
    }
    row: dict[str, object] = {f"{name}_samples": len(values[name]) for name in SETS}
    for name in SETS:
        finite = len(values[name]) > 0
        row[f"{name}_median_distance"] = float(np.median(values[name])) if finite else None
    for name in ("lost", "rescued"):
        result = auroc_with_interval(values[name], values["kept"], resamples, rng)
        row[f"auroc_{name}"] = result.value
        row[f"auroc_{name}_low"], row[f"auroc_{name}_high"] = result.low, result.high
    return row


def analyse(
    pairs: list[Pair], norms: list[str], threat_norm: str, eps: float, resamples: int, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The per-sample table of all pairs and the thin-ice table, one row a pair; both are empty
    where there is nothing to compare a dense network with.

    Clean correctness is looked at in every norm with distances; robust correctness in the threat
    model's own norm, because its boundary lies at the threat model's eps.
    """
    samples, rows = [], []
    for pair in pairs:
        views = [("clean", norm) for norm in norms]
        views += [("robust", threat_norm)] if threat_norm in norms else []
        for correctness, norm in views:
            table = sample_table(pair, correctness, norm, eps)
            samples.append(table)
            labels = pair.labels | {"correctness": correctness, "norm": norm}
            rows.append(labels | pair_statistics(table, resamples, seed))
    if not rows:
        return pd.DataFrame(NO_SAMPLES), pd.DataFrame(NO_PAIRS)
    return pd.concat(samples, ignore_index=True), pd.DataFrame(rows)

"""Every dense network against every network made from it, and against the dense network of
another seed: the control that says how much of the effect is churn from chance alone.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from thin_ice.evaluation.same_samples import require_same_samples
from thin_ice.margins.ice import (
    SETS,
    Correctness,
    boundary_distance,
    compare,
)
from thin_ice.margins.statistics import auroc_with_interval

DENSE = "dense"
SECOND_SEED = "second_seed"  # the method columns of control pairs
DENSE_AGAIN = "dense_again"
CONTROLS = (SECOND_SEED, DENSE_AGAIN)

LABELS = {"run": str, "seed": int, "other": str, "method": str, "sparsity": float}
LABELS |= {"correctness": str, "norm": str}
_DISTANCES = dict.fromkeys(
    ("signed_distance", "boundary_distance", "other_signed_distance"), "float32"
)
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
    """One evaluated network: where it stands in the study, and its per-sample tables.

    Attributes:
        samples: its evaluation.
        distances: to its own boundary.
        rivals: what else may tell which samples are lost; of dense networks, where measured.
        breaking: the radii at which AutoAttack breaks it; of dense networks, where measured.
        sensitivity: how its difference from the dense network it was made from is expected to
            move each sample; of networks made from a dense one, where measured.
        certified: what was proved of it, where that was asked.
    """

    run: str  # DATASET-MODEL-OBJECTIVE
    seed: int
    variant: str  # dense, dense_again, or METHOD-SPARSITY
    method: str
    sparsity: float
    samples: pd.DataFrame
    distances: pd.DataFrame
    rivals: pd.DataFrame | None = None
    breaking: pd.DataFrame | None = None
    sensitivity: pd.DataFrame | None = None
    certified: pd.DataFrame | None = None


@dataclass(frozen=True)
class Pair:
    """A dense network, the network it is compared with, and the next seed's dense network, unless
    the run has one seed alone.
    """

    dense: Network
    other: Network
    following: Network | None = None

    @property
    def second_seed(self) -> bool:
        """Whether this is the control that sets another seed in place of pruning."""
        return self.other.variant == DENSE

    @property
    def labels(self) -> dict[str, object]:
        """What names the pair in every table. A control is a dense network of another seed, or the
        same one trained on.
        """
        return {
            "run": self.dense.run,
            "seed": self.dense.seed,
            "other": f"{DENSE}, seed {self.other.seed}" if self.second_seed else self.other.variant,
            "method": SECOND_SEED if self.second_seed else self.other.method,
            "sparsity": self.other.sparsity,
        }


def pairs_of(networks: list[Network]) -> list[Pair]:
    """Each dense network with those made from it and with the next seed's dense one."""
    dense = {(n.run, n.seed): n for n in networks if n.variant == DENSE}
    following = {key: dense[after] for key, after in _next_seeds(sorted(dense)).items()}
    pairs = [
        Pair(dense[n.run, n.seed], n, following.get((n.run, n.seed)))
        for n in networks
        if n.variant != DENSE
    ]
    return pairs + [Pair(dense[key], after, after) for key, after in following.items()]


def _next_seeds(keys: list[tuple[str, int]]) -> dict[tuple[str, int], tuple[str, int]]:
    """The next seed of the same run, the first after the last; none where a seed is alone."""
    found = {}
    for run in dict.fromkeys(run for run, _ in keys):
        own = [key for key in keys if key[0] == run]
        if len(own) > 1:
            found |= zip(own, own[1:] + own[:1], strict=True)
    return found


def sample_table(pair: Pair, correctness: Correctness, norm: str, eps: float) -> pd.DataFrame:
    """One row a sample: the pair's labels, the sample's set, its signed distance in ``norm``, its
    distance to the boundary that matters (see `thin_ice.margins.ice`), and its signed distance to
    the other network's boundary.
    """
    table = compare(pair.dense.samples, pair.other.samples, correctness)
    column = f"signed_distance_{norm.lower()}"
    table["signed_distance"] = values_of(pair.dense.distances, column, table)
    table["boundary_distance"] = boundary_distance(table.signed_distance, correctness, eps)
    table["other_signed_distance"] = values_of(pair.other.distances, column, table)
    return table.assign(**pair.labels, correctness=correctness, norm=norm)


def values_of(table: pd.DataFrame, column: str, samples: pd.DataFrame) -> np.ndarray:
    """A per-sample table's column in the order of ``samples``, whatever order the table has.

    Raises:
        DifferentSamples: the tables do not hold the same samples.
    """
    require_same_samples(samples, table, f"a network's evaluation and its table with {column}")
    return table.set_index("sample_id")[column].reindex(samples.sample_id).to_numpy()


def pair_statistics(samples: pd.DataFrame, resamples: int, seed: int) -> dict[str, object]:
    """One row of the thin-ice table from one `sample_table`: set sizes, median distances, and how
    well distance tells lost from kept and rescued from kept, of the samples that have a distance.
    """
    rng = np.random.default_rng(seed)
    measured = samples.dropna(subset="boundary_distance")
    values = {
        name: measured.boundary_distance[measured.set == name].to_numpy(dtype=float)
        for name in SETS
    }
    row: dict[str, object] = {f"{name}_samples": int((samples.set == name).sum()) for name in SETS}
    for name, distances in values.items():
        row[f"{name}_median_distance"] = float(np.median(distances)) if len(distances) else None
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

"""Pruning-identified exemplars (Hooker et al., arXiv:1911.05248): samples that the population of
dense networks and the population of pruned ones label differently.

A population is the networks of all seeds; its label for a sample is the most frequent one, and of
several as frequent ones the largest, as in the authors' code. Their populations have 30 networks;
with a few the most frequent label is often one network's, so fewer than `ENOUGH_SEEDS` are marked.
The control is the population of dense networks trained on: what it labels differently, pruning did
not do.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from thin_ice.evaluation.proportions import percent_with_interval
from thin_ice.margins.analysis import DENSE, Network, values_of
from thin_ice.margins.resampling import Values
from thin_ice.margins.statistics import auroc_with_interval
from thin_ice.margins.views import Setting

ENOUGH_SEEDS = 5
COLUMNS = (
    *("run", "method", "sparsity", "seeds", "samples", "pies", "pie_percent", "low", "high"),
    *("enough_seeds", "pie_median_distance", "other_median_distance"),
    *("auroc", "auroc_low", "auroc_high"),
)


def pies_table(networks: list[Network], setting: Setting) -> pd.DataFrame:
    """One row a run, method and sparsity, over the seeds that have such a network.

    Distances: of a sample, the mean over these seeds of its absolute distance to the dense
    network's boundary in the threat model's norm; NaN where that was not measured. ``auroc``: does
    it tell exemplars from the others, the nearer an exemplar the better.
    """
    dense = {(n.run, n.seed): n for n in networks if n.variant == DENSE}
    populations: dict[tuple[str, str, float], list[Network]] = {}
    for one in networks:
        if one.variant != DENSE:
            populations.setdefault((one.run, one.method, one.sparsity), []).append(one)
    rows = [
        dict(zip(("run", "method", "sparsity"), key, strict=True))
        | _row([dense[n.run, n.seed] for n in others], others, setting)
        for key, others in populations.items()
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(dense: list[Network], others: list[Network], setting: Setting) -> dict[str, object]:
    samples = dense[0].samples
    labels = [
        modal_labels(np.stack([values_of(n.samples, "prediction", samples) for n in population]))
        for population in (dense, others)
    ]
    pie = labels[0] != labels[1]
    row: dict[str, object] = {
        "seeds": len(others),
        "samples": len(pie),
        "pies": int(pie.sum()),
        "enough_seeds": "yes" if len(others) >= ENOUGH_SEEDS else "no",
    }
    row |= percent_with_interval(pie.sum(), len(pie), ("pie_percent", "low", "high"))
    if setting.threat_norm not in setting.norms:
        return row
    return row | _where_they_stand(_mean_distance(dense, setting.threat_norm), pie, setting)


def modal_labels(predictions: NDArray[np.integer]) -> NDArray[np.integer]:
    """The most frequent label (N,) of a population's predictions (networks, N); the largest of
    several as frequent ones.
    """
    labels = np.unique(predictions)[::-1]  # the first of the most frequent is the largest
    votes = np.stack([(predictions == label).sum(axis=0) for label in labels])
    return labels[votes.argmax(axis=0)]


def _mean_distance(dense: list[Network], norm: str) -> Values:
    column = f"signed_distance_{norm.lower()}"
    samples = dense[0].samples
    found = np.stack([values_of(n.distances, column, samples) for n in dense])
    return np.abs(found.astype(np.float64)).mean(axis=0)


def _where_they_stand(distance: Values, pie: NDArray, setting: Setting) -> dict[str, float]:
    measured = ~np.isnan(distance)
    near, far = distance[measured & pie], distance[measured & ~pie]
    result = auroc_with_interval(near, far, setting.resamples, setting.rng())
    medians = (float(np.median(one)) if len(one) else np.nan for one in (near, far))
    row = dict(zip(("pie_median_distance", "other_median_distance"), medians, strict=True))
    return row | {"auroc": result.value, "auroc_low": result.low, "auroc_high": result.high}

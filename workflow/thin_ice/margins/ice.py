"""The thin-ice partition: what pruning did to each sample, against where it stood before.

For each sample: was the dense network right, is the other network right? kept, lost (right to
wrong), rescued (wrong to right), never. "Right" is clean correctness, or robust correctness
(AutoAttack at the study's eps). The boundary that matters is distance 0 for clean correctness and
distance eps for robust correctness; a sample is on thin ice when it is close to that boundary.
"""

from typing import Literal

import pandas as pd

from thin_ice.evaluation.same_samples import require_same_samples

Correctness = Literal["clean", "robust"]
SETS = ("kept", "lost", "rescued", "never")


def partition(before: pd.Series, after: pd.Series) -> pd.Series:
    """The set of each sample, from two bool columns (dense right, other right)."""
    names = {
        (True, True): "kept",
        (True, False): "lost",
        (False, True): "rescued",
        (False, False): "never",
    }
    sets = [names[pair] for pair in zip(before, after, strict=True)]
    return pd.Series(pd.Categorical(sets, categories=SETS), index=before.index)


def boundary_distance(
    signed_distance: pd.Series, correctness: Correctness, eps: float
) -> pd.Series:
    """How far a sample stands from the boundary that matters, >= 0, in the distance's units."""
    boundary = 0.0 if correctness == "clean" else eps
    return (signed_distance - boundary).abs()


def compare(dense: pd.DataFrame, other: pd.DataFrame, correctness: Correctness) -> pd.DataFrame:
    """sample_id, label and the sample's set, for two per-sample tables of the same samples.

    Raises:
        DifferentSamples: the tables do not hold the same samples.
    """
    column = "correct" if correctness == "clean" else "robust"
    require_same_samples(dense, other, "the two networks' evaluations")
    both = dense[["sample_id", "label", column]].merge(
        other[["sample_id", column]], on="sample_id", suffixes=("_dense", "_other"), validate="1:1"
    )
    both["set"] = partition(both[f"{column}_dense"], both[f"{column}_other"])
    return both[["sample_id", "label", "set"]]

"""Join what is known of one network into its per-sample table, and count. Needs no torch."""

import pandas as pd

from thin_ice.attacks.switches import LAST, RERUN, TRAIN_MODE
from thin_ice.errors import ThinIceError
from thin_ice.evaluation.outcomes import BROKEN, OUTCOME
from thin_ice.evaluation.proportions import percent_with_interval


class IncompleteEvaluation(ThinIceError):
    """The shards do not cover the evaluated samples exactly once."""


def join_shards(clean: pd.DataFrame, shards: list[pd.DataFrame]) -> pd.DataFrame:
    """The network's per-sample table: clean and claimed columns joined with AutoAttack's.

    Raises:
        IncompleteEvaluation: a sample has no verdict, or more than one.
    """
    verdicts = pd.concat(shards, ignore_index=True)
    if sorted(verdicts.sample_id) != sorted(clean.sample_id):
        raise IncompleteEvaluation(
            f"{len(clean)} samples were evaluated but the AutoAttack shards hold "
            f"{len(verdicts)} verdicts on {verdicts.sample_id.nunique()} samples; "
            "the shards belong to another test split or one is missing"
        )
    return clean.merge(verdicts, on="sample_id", validate="one_to_one")


def accuracy(outcomes: pd.Series) -> dict[str, float]:
    """A share in percent with its 95 % Wilson interval, in percent too."""
    names = ("percent", "low_percent", "high_percent")
    found = percent_with_interval(outcomes.sum(), len(outcomes), names)
    return {name: float(value) for name, value in found.items()}


def _switch_points(samples: pd.DataFrame, protocol: str) -> dict[str, float]:
    """What the claimed accuracy loses, in points, by each switch of the protocol that was run."""
    claimed = samples[f"claimed_{protocol}"].mean()
    columns = {name: f"claimed_{protocol}_{name}" for name in (*RERUN, LAST, TRAIN_MODE)}
    return {
        name: 100 * float(claimed - samples[column].mean())
        for name, column in columns.items()
        if column in samples
    }


def metrics(samples: pd.DataFrame, protocols: list[str]) -> dict:
    """Accuracies of a network; the overestimate is claimed minus AutoAttack, in points.

    ``switch_points``: by mechanism, as `thin_ice.attacks.switches` has them.
    """
    autoattack = accuracy(samples.robust)
    claimed = {}
    for name in protocols:
        last = accuracy(samples[f"claimed_{name}"])
        every = accuracy(samples[f"claimed_{name}_any_iterate"])
        claimed[name] = {
            "accuracy": last,
            "any_iterate_percent": every["percent"],
            "overestimate_points": last["percent"] - autoattack["percent"],
            "switch_points": _switch_points(samples, name),
        }
    attacks = [name for name in samples if name.startswith(OUTCOME)]
    return {
        "samples": len(samples),
        "clean": accuracy(samples.correct),
        "autoattack": autoattack,
        # Square, black-box and last, breaking many is AutoAttack's own sign of masked gradients.
        "broken_by_percent": {
            name.removeprefix(OUTCOME): 100 * float((samples[name] == BROKEN).mean())
            for name in attacks
        },
        "claimed": claimed,
    }

"""The table of accuracies: one row a network and claimed protocol, from finished metrics."""

import math

import pandas as pd

from thin_ice.evaluation import collapse
from thin_ice.evaluation.flags import APGD, columns
from thin_ice.evaluation.outcomes import TRAINED

NETWORK = (  # what names a network in a table
    *("run", "seed", "variant", "method", "kind", "unit", "pipeline", "sparsity"),
    *("trained_with", "tuned_with", "goal", "tuned_goal"),
)
NO_PROTOCOL = "none"  # of a network that nobody claims anything of
UNCLAIMED = {
    "accuracy": {"percent": math.nan, "low_percent": math.nan, "high_percent": math.nan},
    "any_iterate_percent": math.nan,
    "overestimate_points": math.nan,
}


def accuracy_table(
    names: list[dict], metrics: list[dict], indicators: list[dict], proofs: list[dict]
) -> pd.DataFrame:
    """Columns: the network's names, its sparsity as counted, signs of a collapse (see
    `collapse.columns`), accuracies in percent with their 95 % intervals, the overestimate in points
    (claimed minus AutoAttack), the columns of ``proofs`` (see `proofs.proof_columns`), and the
    indicators of attack failure of the claimed protocol and of AutoAttack's APGD, see
    `flags.columns`. A network without a claimed protocol has one row, with nothing claimed.
    """
    rows = [
        _row(name, numbers, found, proof, protocol)
        for name, numbers, found, proof in zip(names, metrics, indicators, proofs, strict=True)
        for protocol in numbers["claimed"] or [NO_PROTOCOL]
    ]
    return pd.DataFrame(rows)


def _row(name: dict, numbers: dict, indicators: dict, proof: dict, protocol: str) -> dict:
    claimed = numbers["claimed"].get(protocol, UNCLAIMED)
    return {
        **{key: name[key] for key in NETWORK},
        "dataset": numbers["dataset"],
        "origin": numbers.get("origin", TRAINED),
        "test_samples": numbers["samples"],
        "sparsity_of_prunable": numbers["sparsity"]["prunable"],
        "sparsity_of_all_parameters": numbers["sparsity"]["all_parameters"],
        **collapse.columns(numbers["collapse"]),
        **_interval("clean", numbers["clean"]),
        "protocol": protocol,
        **_interval("claimed", claimed["accuracy"]),
        "claimed_any_iterate_percent": claimed["any_iterate_percent"],
        **_interval("autoattack", numbers["autoattack"]),
        **{f"autoattack_{name}": value for name, value in numbers["autoattack_protocol"].items()},
        "autoattack_warnings": ";".join(w["kind"] for w in numbers["autoattack_warnings"]),
        "autoattack_unconfirmed": numbers["autoattack_unconfirmed"],
        "overestimate_points": claimed["overestimate_points"],
        **proof,
        "attacked_for_indicators": indicators["attacked"],
        **columns(indicators["attacks"].get(protocol, {}), "claimed"),
        **columns(indicators["attacks"][APGD], "apgd"),
    }


def _interval(what: str, accuracy: dict) -> dict:
    return {f"{what}_{name}": value for name, value in accuracy.items()}

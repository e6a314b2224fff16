"""The table of accuracies: one row a network and claimed protocol, from finished metrics."""

import pandas as pd

from thin_ice.evaluation.flags import APGD, columns


def accuracy_table(names: list[dict], metrics: list[dict], indicators: list[dict]) -> pd.DataFrame:
    """Columns: the network's names, its sparsity as counted, accuracies in percent with their 95 %
    intervals, the overestimate in points (claimed minus AutoAttack), and the indicators of attack
    failure of the claimed protocol and of AutoAttack's APGD, see `flags.columns`.
    """
    rows = [
        _row(name, numbers, found, protocol)
        for name, numbers, found in zip(names, metrics, indicators, strict=True)
        for protocol in numbers["claimed"]
    ]
    return pd.DataFrame(rows)


def _row(name: dict, numbers: dict, indicators: dict, protocol: str) -> dict:
    claimed = numbers["claimed"][protocol]
    return {
        **{key: name[key] for key in ("run", "seed", "variant", "method", "sparsity")},
        "dataset": numbers["dataset"],
        "test_samples": numbers["samples"],
        "sparsity_of_prunable": numbers["sparsity"]["prunable"],
        "sparsity_of_all_parameters": numbers["sparsity"]["all_parameters"],
        **_interval("clean", numbers["clean"]),
        "protocol": protocol,
        **_interval("claimed", claimed["accuracy"]),
        "claimed_any_iterate_percent": claimed["any_iterate_percent"],
        **_interval("autoattack", numbers["autoattack"]),
        "overestimate_points": claimed["overestimate_points"],
        "attacked_for_indicators": indicators["attacked"],
        **columns(indicators["attacks"][protocol], "claimed"),
        **columns(indicators["attacks"][APGD], "apgd"),
    }


def _interval(what: str, accuracy: dict) -> dict:
    return {f"{what}_{name}": value for name, value in accuracy.items()}

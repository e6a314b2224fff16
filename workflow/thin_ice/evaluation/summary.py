"""The table of accuracies: one row a network and claimed protocol, from finished metrics."""

import pandas as pd


def accuracy_table(names: list[dict], metrics: list[dict]) -> pd.DataFrame:
    """Columns: the network's names, its sparsity as counted, accuracies in percent with their 95 %
    intervals, and the overestimate in points (claimed minus AutoAttack).
    """
    rows = [
        _row(name, numbers, protocol)
        for name, numbers in zip(names, metrics, strict=True)
        for protocol in numbers["claimed"]
    ]
    return pd.DataFrame(rows)


def _row(name: dict, numbers: dict, protocol: str) -> dict:
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
        **{f"autoattack_{name}": value for name, value in numbers["autoattack_protocol"].items()},
        "autoattack_warnings": ";".join(w["kind"] for w in numbers["autoattack_warnings"]),
        "autoattack_unconfirmed": numbers["autoattack_unconfirmed"],
        "overestimate_points": claimed["overestimate_points"],
    }


def _interval(what: str, accuracy: dict) -> dict:
    return {f"{what}_{name}": value for name, value in accuracy.items()}

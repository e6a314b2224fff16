"""The thin-ice analysis of a run with all its seeds and methods, its table of accuracies, its
security curves, and how well each distance attack did.
"""

import json
from pathlib import Path

import pandas as pd

from thin_ice.commands.job import Job
from thin_ice.commands.tables import write_csv, write_parquet
from thin_ice.evaluation.curves import grid, security_curve
from thin_ice.evaluation.optimality import optimality_table
from thin_ice.evaluation.overestimate import Evaluated, overestimate_table
from thin_ice.evaluation.summary import accuracy_table
from thin_ice.margins.agreement import contradictions
from thin_ice.margins.analysis import DENSE, DENSE_AGAIN, Network, analyse, pairs_of

PREPARE = None
NAMES = ("run", "seed", "variant", "method", "sparsity")
INPUTS = ("samples", "metrics", "distances", "indicators")
OPTIONAL_INPUTS = ("selection",)


def run(job: Job) -> list[Path]:
    wanted = job.parameters
    names = wanted["networks"]
    networks = [
        Network(**name, samples=pd.read_parquet(path))
        for name, path in zip(names, job.inputs["samples"], strict=True)
    ]
    measured = [pd.read_parquet(path) for path in job.inputs["distances"]]
    distances = {
        (name["run"], name["seed"]): table
        for name, table in zip(names, measured, strict=True)
        if name["variant"] == DENSE
    }
    metrics = [json.loads(path.read_text()) for path in job.inputs["metrics"]]
    indicators = [json.loads(path.read_text()) for path in job.inputs["indicators"]]
    threat = wanted["threat"]
    samples, statistics = analyse(
        pairs_of(networks, distances),
        list(wanted["distances"]),
        threat["norm"],
        threat["eps"],
        wanted["analysis"]["bootstrap"],
        wanted["analysis"]["seed"],
    )
    optimality = [optimality_table(table, wanted["distances"]) for table in measured]
    evaluated = _evaluated(job, networks, metrics)
    resamples, seed = wanted["analysis"]["bootstrap"], wanted["analysis"]["seed"]
    outputs = {
        "accuracy.csv": accuracy_table(names, metrics, indicators),
        "overestimate.csv": overestimate_table(evaluated, resamples, seed),
        "thin_ice.csv": statistics,
        "curves.csv": _of_networks(names, _curves(networks, measured, metrics, threat)),
        "optimality.csv": _of_networks(names, optimality),
    }
    for name, table in outputs.items():
        write_csv(job.folder / name, table)
    write_parquet(job.folder / "samples.parquet", samples)
    return [*(job.folder / name for name in outputs), job.folder / "samples.parquet"]


def _curves(
    networks: list[Network], measured: list[pd.DataFrame], metrics: list[dict], threat: dict
) -> list[pd.DataFrame]:
    """A security curve a network, all over the same radii."""
    norm, eps = threat["norm"], threat["eps"]
    radii = grid(measured, norm, eps)
    return [
        security_curve(
            distances,
            norm,
            radii,
            eps,
            numbers["autoattack"] | contradictions(distances, network.samples, norm, eps),
        )
        for network, distances, numbers in zip(networks, measured, metrics, strict=True)
    ]


def _of_networks(names: list[dict], tables: list[pd.DataFrame]) -> pd.DataFrame:
    """One table of many, each row with the names of its network."""
    named = [
        table.assign(**name)[[*NAMES, *table.columns]]
        for name, table in zip(names, tables, strict=True)
    ]
    return pd.concat(named, ignore_index=True)


def _evaluated(job: Job, networks: list[Network], metrics: list[dict]) -> list[Evaluated]:
    """Every network under each protocol that attacked it; pruned ones with their selection."""
    pruned = [(n.run, n.seed, n.variant) for n in networks if n.method not in (DENSE, DENSE_AGAIN)]
    paths = dict(zip(pruned, job.inputs["selection"], strict=True)) if _watched(job) else {}
    selection = {key: pd.read_parquet(path) for key, path in paths.items()}
    return [
        Evaluated(
            {"run": n.run, "seed": n.seed, "method": n.method, "sparsity": n.sparsity},
            protocol,
            n.samples,
            selection.get((n.run, n.seed, n.variant)),
        )
        for n, numbers in zip(networks, metrics, strict=True)
        for protocol in numbers["claimed"]
    ]


def _watched(job: Job) -> bool:
    return bool(job.inputs["selection"])

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
from thin_ice.evaluation.summary import accuracy_table
from thin_ice.margins.analysis import DENSE, Network, analyse, pairs_of

PREPARE = None
NAMES = ("run", "seed", "variant", "method", "sparsity")
INPUTS = ("samples", "metrics", "distances", "indicators")


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
    outputs = {
        "accuracy.csv": accuracy_table(names, metrics, indicators),
        "thin_ice.csv": statistics,
        "curves.csv": _of_networks(names, _curves(measured, metrics, threat)),
        "optimality.csv": _of_networks(names, optimality),
    }
    for name, table in outputs.items():
        write_csv(job.folder / name, table)
    write_parquet(job.folder / "samples.parquet", samples)
    return [*(job.folder / name for name in outputs), job.folder / "samples.parquet"]


def _curves(measured: list[pd.DataFrame], metrics: list[dict], threat: dict) -> list[pd.DataFrame]:
    """A security curve a network, all over the same radii."""
    norm, eps = threat["norm"], threat["eps"]
    radii = grid(measured, norm, eps)
    return [
        security_curve(table, norm, radii, eps, numbers["autoattack"])
        for table, numbers in zip(measured, metrics, strict=True)
    ]


def _of_networks(names: list[dict], tables: list[pd.DataFrame]) -> pd.DataFrame:
    """One table of many, each row with the names of its network."""
    named = [
        table.assign(**name)[[*NAMES, *table.columns]]
        for name, table in zip(names, tables, strict=True)
    ]
    return pd.concat(named, ignore_index=True)

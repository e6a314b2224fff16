"""The thin-ice analysis of a run with all its seeds and methods, and its table of accuracies."""

import json
from pathlib import Path

import pandas as pd

from thin_ice.commands.job import Job
from thin_ice.commands.tables import write_csv, write_parquet
from thin_ice.evaluation.overestimate import Evaluated, overestimate_table
from thin_ice.evaluation.summary import accuracy_table
from thin_ice.margins.analysis import DENSE, Network, analyse, pairs_of

PREPARE = None
INPUTS = ("samples", "metrics", "distances")
OPTIONAL_INPUTS = ("selection",)


def run(job: Job) -> list[Path]:
    wanted = job.parameters
    names = wanted["networks"]
    networks = [
        Network(**name, samples=pd.read_parquet(path))
        for name, path in zip(names, job.inputs["samples"], strict=True)
    ]
    dense = [(name["run"], name["seed"]) for name in names if name["variant"] == DENSE]
    distances = {
        key: pd.read_parquet(path) for key, path in zip(dense, job.inputs["distances"], strict=True)
    }
    metrics = [json.loads(path.read_text()) for path in job.inputs["metrics"]]
    threat = wanted["threat"]
    samples, statistics = analyse(
        pairs_of(networks, distances),
        wanted["norms"],
        threat["norm"],
        threat["eps"],
        wanted["analysis"]["bootstrap"],
        wanted["analysis"]["seed"],
    )
    files = ("accuracy.csv", "overestimate.csv", "thin_ice.csv", "samples.parquet")
    outputs = [job.folder / name for name in files]
    write_csv(outputs[0], accuracy_table(names, metrics))
    evaluated = _evaluated(job, networks, metrics)
    resamples, seed = wanted["analysis"]["bootstrap"], wanted["analysis"]["seed"]
    write_csv(outputs[1], overestimate_table(evaluated, resamples, seed))
    write_csv(outputs[2], statistics)
    write_parquet(outputs[3], samples)
    return outputs


def _evaluated(job: Job, networks: list[Network], metrics: list[dict]) -> list[Evaluated]:
    """Every network under each protocol that attacked it; pruned ones with their selection."""
    pruned = [(n.run, n.seed, n.variant) for n in networks if n.variant != DENSE]
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

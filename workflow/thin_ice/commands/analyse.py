"""The thin-ice analysis of a run with all its seeds and methods, and its table of accuracies."""

import json
from pathlib import Path

import pandas as pd

from thin_ice.commands.job import Job
from thin_ice.commands.tables import write_csv, write_parquet
from thin_ice.evaluation.summary import accuracy_table
from thin_ice.margins.analysis import DENSE, Network, analyse, pairs_of

PREPARE = None
INPUTS = ("samples", "metrics", "distances", "indicators")


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
    indicators = [json.loads(path.read_text()) for path in job.inputs["indicators"]]
    threat = wanted["threat"]
    samples, statistics = analyse(
        pairs_of(networks, distances),
        wanted["norms"],
        threat["norm"],
        threat["eps"],
        wanted["analysis"]["bootstrap"],
        wanted["analysis"]["seed"],
    )
    outputs = [job.folder / name for name in ("accuracy.csv", "thin_ice.csv", "samples.parquet")]
    write_csv(outputs[0], accuracy_table(names, metrics, indicators))
    write_csv(outputs[1], statistics)
    write_parquet(outputs[2], samples)
    return outputs

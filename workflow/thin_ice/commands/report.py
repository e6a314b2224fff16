"""Figures from finished tables, and the report: one HTML file that needs nothing else."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
from safetensors.numpy import load_file

from thin_ice.commands.job import Job
from thin_ice.evaluation.mismatch import mismatch_table
from thin_ice.evaluation.preservation import averages
from thin_ice.figures.finished import Finished, Twins
from thin_ice.figures.report import write_report
from thin_ice.provenance.root import beneath

PREPARE = None
TABLES = (
    *("accuracy", "overestimate", "thin_ice", "samples", "curves", "optimality"),
    *("predictors", "thickness", "joint", "classes", "pies", "overlap", "movement"),
    *("sizes", "preservation", "certified", "training"),
)
TWINS = ("twins", "pictures")
INPUTS = (*TABLES, *TWINS)


def run(job: Job) -> list[Path]:
    """``job.inputs``: each table once a run of the study, in one order; the twins' tables and their
    pictures once a dense network, in the order of the parameter ``dense``.
    """
    joined = {name: _joined(job.inputs[name]) for name in TABLES}
    over_runs = {
        "averages": averages(joined["preservation"]),
        "mismatch": mismatch_table(joined["accuracy"]),
    }
    study = job.parameters["study"]
    finished = Finished(**joined, **over_runs, study=study, twins=_twins(job))
    read = [path for name in INPUTS for path in job.inputs[name]]
    root = beneath(job.folder.parent, read)
    return write_report(finished, read, job.folder, root, processes=job.threads)


def _joined(paths: list[Path]) -> pd.DataFrame:
    """Empty tables left out: a run without comparisons has one, which would cost others' types."""
    tables = [_reader(path)(path) for path in paths]
    return pd.concat([t for t in tables if len(t)] or tables[:1], ignore_index=True)


def _reader(path: Path) -> Callable[[Path], pd.DataFrame]:
    return pd.read_parquet if path.suffix == ".parquet" else pd.read_csv


def _twins(job: Job) -> tuple[Twins, ...]:
    names, tables, pictures = job.parameters["dense"], *(job.inputs[name] for name in TWINS)
    return tuple(
        Twins(name["run"], name["seed"], pd.read_parquet(table), **load_file(picture))
        for name, table, picture in zip(names, tables, pictures, strict=True)
    )

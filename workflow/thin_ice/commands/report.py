"""Figures from finished tables, and the report: one HTML file that needs nothing else."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from thin_ice.commands.job import Job
from thin_ice.figures.finished import Finished
from thin_ice.figures.report import write_report
from thin_ice.provenance.root import beneath

PREPARE = None
TABLES = ("accuracy", "overestimate", "thin_ice", "samples", "curves", "optimality")
INPUTS = TABLES


def run(job: Job) -> list[Path]:
    """``job.inputs``: each table once a run of the study, in one order."""
    finished = Finished(
        accuracy=_joined(job.inputs["accuracy"], pd.read_csv),
        thin_ice=_joined(job.inputs["thin_ice"], pd.read_csv),
        samples=_joined(job.inputs["samples"], pd.read_parquet),
        overestimate=_joined(job.inputs["overestimate"], pd.read_csv),
        curves=_joined(job.inputs["curves"], pd.read_csv),
        optimality=_joined(job.inputs["optimality"], pd.read_csv),
        study=job.parameters["study"],
    )
    tables = [path for name in TABLES for path in job.inputs[name]]
    root = beneath(job.folder.parent, tables)
    return write_report(finished, tables, job.folder, root)


def _joined(paths: list[Path], read: Callable[[Path], pd.DataFrame]) -> pd.DataFrame:
    """Empty tables left out: a run without comparisons has one, which would cost others' types."""
    tables = [read(path) for path in paths]
    return pd.concat([t for t in tables if len(t)] or tables[:1], ignore_index=True)

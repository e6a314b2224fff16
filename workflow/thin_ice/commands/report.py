"""Figures from finished tables, and the report: one HTML file that needs nothing else."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from thin_ice.commands.job import Job
from thin_ice.figures.finished import Finished
from thin_ice.figures.report import write_report
from thin_ice.provenance.root import beneath

PREPARE = None
TABLES = ("accuracy", "thin_ice", "samples", "overestimate")
INPUTS = TABLES


def run(job: Job) -> list[Path]:
    """``job.inputs``: each table once a run of the study, in one order."""
    finished = Finished(
        accuracy=_joined(job.inputs["accuracy"], pd.read_csv),
        thin_ice=_joined(job.inputs["thin_ice"], pd.read_csv),
        samples=_joined(job.inputs["samples"], pd.read_parquet),
        overestimate=_joined(job.inputs["overestimate"], pd.read_csv),
        study=job.parameters["study"],
    )
    tables = [path for name in TABLES for path in job.inputs[name]]
    root = beneath(job.folder.parent, tables)
    return write_report(finished, tables, job.folder, root)


def _joined(paths: list[Path], read: Callable[[Path], pd.DataFrame]) -> pd.DataFrame:
    return pd.concat([read(path) for path in paths], ignore_index=True)

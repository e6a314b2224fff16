"""Figures from finished tables, and the report: one HTML file that needs nothing else."""

from pathlib import Path

import pandas as pd

from thin_ice.commands.job import Job
from thin_ice.figures.finished import Finished
from thin_ice.figures.report import write_report

TORCH = False
INPUTS = ("accuracy", "thin_ice", "samples")


def run(job: Job) -> list[Path]:
    finished = Finished(
        accuracy=pd.read_csv(job.input("accuracy")),
        thin_ice=pd.read_csv(job.input("thin_ice")),
        samples=pd.read_parquet(job.input("samples")),
        study=job.parameters["study"],
    )
    return write_report(finished, job.all_inputs(), job.folder)

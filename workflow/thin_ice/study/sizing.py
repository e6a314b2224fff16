"""Minutes and memory that a cluster is asked for, from the study and the site.

A job that is killed goes on where it was and is asked more for each time, so the estimate may be
too low; twice the estimate keeps that rare. A job on a network is asked the study's ``mem_mb``; the
analysis and the report what their tables take.
"""

import math
from dataclasses import dataclass
from typing import Any

from thin_ice.study import cost
from thin_ice.study.plan import Network, Study
from thin_ice.study.site import Site

ON_GPU = tuple(cost.STAGES)
BASE_MINUTES, MARGIN = 10, 2  # to start and to read; how far an estimate is trusted
# Measured on the default study's 16 networks of 180 samples: 9 and 21 s, 231 and 408 MiB.
ANALYSIS_SECONDS = 4e-3 / 2000  # a row of samples and a bootstrap resample
REPORT_SECONDS, REPORT_ROW_SECONDS = 20, 1e-3  # drawing costs the same for most numbers of rows
BASE_MB, ROW_MB = 2000, 0.01


def minutes(study: Study, site: Site, stage: str, of: Any, attempt: int = 1) -> int:
    """How long a job is asked for at an attempt, the first being 1.

    ``of``: the `Network` of a stage that computes on networks, the run's name of an analysis.
    """
    on_gpu = stage in ON_GPU
    seconds = _gpu_seconds(study, site, stage, of) if on_gpu else _seconds(study, stage, of)
    wanted = math.ceil(BASE_MINUTES + MARGIN * seconds / 60) * attempt
    return site.minutes(wanted, on_gpu)


def mem_mb(study: Study, site: Site, stage: str, of: Any, attempt: int = 1) -> int:
    """Memory of a job at an attempt, in MB. ``of``: as for `minutes`."""
    wanted = study.resources["mem_mb"]
    if stage not in (*ON_GPU, "external"):
        wanted = math.ceil(BASE_MB + ROW_MB * _rows(study, stage, of))
    return site.mem_mb(wanted * attempt, stage in ON_GPU)


@dataclass(frozen=True)
class Estimate:
    """What a job that computes on a network costs at most: ``passes`` of single images forward,
    ``flop`` in all, a multiplication and an addition counting as two, and ``seconds``.
    """

    passes: float
    flop: float
    seconds: float


def estimate(study: Study, stage: str, network: Network, gflops: float) -> Estimate:
    """Of a stage of `cost.STAGES` at ``gflops`` (1e9 operations a second, sustained). The one place
    of this room that brings torch, and only when it is called.
    """
    from thin_ice.models.flops import size
    from thin_ice.models.network import Architecture

    whole = size(Architecture(**cost.architecture(study, network)))
    done = cost.work(study, stage, network)
    seconds = cost.seconds(done, whole.flops, whole.layers, gflops)
    return Estimate(done.passes, done.passes * whole.flops, seconds)


def _gpu_seconds(study: Study, site: Site, stage: str, network: Network) -> float:
    return estimate(study, stage, network, site.gflops or study.resources["gflops"]).seconds


def _seconds(study: Study, stage: str, run: str | None) -> float:
    """Of what goes over the rows of tables; the rest is done in no time."""
    rows = _rows(study, stage, run)
    if stage == "analyse":
        return ANALYSIS_SECONDS * rows * study.resolved["analysis"]["bootstrap"]
    return REPORT_SECONDS + REPORT_ROW_SECONDS * rows if stage == "report" else 0


def _rows(study: Study, stage: str, run: str | None) -> int:
    """What an analysis reads of its run, and the report of all runs."""
    return cost.rows(study, run) if stage in ("analyse", "report") else 0

"""Minutes and memory that a cluster is asked for, from the study and the site.

A job that is killed goes on where it was and is asked more for each time, so the estimate may be
too low; twice the estimate keeps that rare. A job on a network is asked the study's ``mem_mb``; the
analysis and the report what their tables take.
"""

import math
from typing import Any

from thin_ice.study import cost
from thin_ice.study.plan import Network, Study
from thin_ice.study.site import Site

ON_GPU = tuple(cost.STAGES)
BASE_MINUTES, MARGIN = 10, 2  # to start and to read; how far an estimate is trusted
# Measured on the default study's 16 networks of 180 samples: 9 and 21 s, 231 and 408 MiB.
ANALYSIS_SECONDS = 4e-3 / 2000  # a row of samples and a bootstrap resample
REPORT_SECONDS = 8e-3  # a row
BASE_MB, ROW_MB = 2000, 0.01


def minutes(study: Study, site: Site, stage: str, of: Any, attempt: int = 1) -> int:
    """How long a job is asked for at an attempt, the first being 1.

    ``of``: the `Network` of a stage that computes on networks, the run's name of an analysis.
    """
    seconds = _gpu_seconds(study, site, stage, of) if stage in ON_GPU else _seconds(study, of)
    wanted = math.ceil(BASE_MINUTES + MARGIN * seconds / 60) * attempt
    return site.minutes(wanted, stage in ON_GPU)


def mem_mb(study: Study, site: Site, stage: str, of: Any, attempt: int = 1) -> int:
    """Memory of a job at an attempt, in MB of the scheduler's (MiB). ``of``: as for `minutes`."""
    if stage in ON_GPU or stage == "external":
        wanted = study.resources["mem_mb"]
    else:
        wanted = math.ceil(BASE_MB + ROW_MB * cost.rows(study, of))
    return site.mem_mb(wanted * attempt, stage in ON_GPU)


def _gpu_seconds(study: Study, site: Site, stage: str, network: Network) -> float:
    """The one place of this room that brings torch, and only when it is called."""
    from thin_ice.models.flops import size
    from thin_ice.models.network import Architecture

    whole = size(Architecture(**cost.architecture(study, network)))
    gflops = site.gflops or study.resources["gflops"]
    return cost.seconds(cost.work(study, stage, network), whole.flops, whole.layers, gflops)


def _seconds(study: Study, run: str | None) -> float:
    """Of the analysis of a run, or of the report, which draws the rows of all."""
    rows = cost.rows(study, run)
    if run is None:
        return REPORT_SECONDS * rows
    return ANALYSIS_SECONDS * rows * study.resolved["analysis"]["bootstrap"]

"""Say what a study costs before it runs: jobs, passes through networks, and hours of a device that
sustains so many operations a second; and what the jobs that have run took.

At most, since it counts as if no sample fell to an attack before the last one, and each pass back
as two. What a device sustains is seen from jobs that ran there: --gflops takes the figure.
"""

import argparse
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from thin_ice.commands import present
from thin_ice.errors import ThinIceError
from thin_ice.figures.headline import markdown
from thin_ice.provenance.planned import RECORD, PlannedJob
from thin_ice.provenance.statement import read_record
from thin_ice.study import cost
from thin_ice.study.jobs import planned_jobs
from thin_ice.study.plan import Network, Study
from thin_ice.study.sizing import Estimate, estimate

HEADER = ("stage", "jobs", "passes (1e6)", "1e15 operations", "hours at most", "measured")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    present.add_arguments(parser)
    parser.add_argument(
        "--gflops",
        type=float,
        help="1e9 operations a second that the device sustains; default: the study's "
        "resources.gflops",
    )


@dataclass
class Bill:
    """Of some jobs: how many, what they cost at most, and hours of those that have run, with what
    these cost at most.
    """

    jobs: int = 0
    passes: float = 0.0
    flop: float = 0.0
    seconds: float = 0.0
    ran: int = 0
    ran_flop: float = 0.0
    ran_seconds: float = 0.0

    def add(self, asked: Estimate, measured: float | None) -> None:
        self.jobs += 1
        self.passes += asked.passes
        self.flop += asked.flop
        self.seconds += asked.seconds
        if measured is not None:
            self.ran += 1
            self.ran_flop += asked.flop
            self.ran_seconds += measured

    def cells(self, name: str) -> tuple[str, ...]:
        hours = f"{self.ran_seconds / 3600:.3g} ({self.ran} of {self.jobs})" if self.ran else ""
        flop, passes = self.flop / 1e15, self.passes / 1e6
        return (
            name,
            f"{self.jobs}",
            f"{passes:.4g}",
            f"{flop:.3g}",
            f"{self.seconds / 3600:.3g}",
            hours,
        )


def run(options: argparse.Namespace) -> int:
    """0.

    Raises:
        BadStudy: the study's file is broken.
        ThinIceError: no study is to be found, a record is damaged, or no device is so slow.
    """
    root, study, file = present.results_and_study(options)
    gflops = study.resources["gflops"] if options.gflops is None else options.gflops
    if not 0 < gflops < math.inf:
        raise ThinIceError(f"--gflops {gflops:g}; allowed: more than 0")
    bills, whole = defaultdict(Bill), Bill()
    for job, network in of_networks(study, planned_jobs(study)):
        asked, measured = estimate(study, job.stage, network, gflops), _seconds(root, job)
        for bill in (bills[job.stage], whole):
            bill.add(asked, measured)
    rows = [bill.cells(stage) for stage, bill in bills.items()]
    print(markdown(HEADER, [*rows, whole.cells("all")]))
    print(f"{file}, on a device that sustains {gflops:g} GFLOP/s on these networks.")
    if whole.ran_seconds:
        sustained = whole.ran_flop / whole.ran_seconds / 1e9
        print(f"The jobs that have run sustained {sustained:.3g} GFLOP/s of what is counted here.")
    return 0


def of_networks(study: Study, jobs: Iterable[PlannedJob]) -> Iterator[tuple[PlannedJob, Network]]:
    """The jobs that compute on a network, each with its own."""
    networks = {Path(network.folder): network for network in study.networks()}
    for job in jobs:
        if job.stage in cost.STAGES:
            folder = Path(job.folder)
            yield job, next(networks[p] for p in (folder, *folder.parents) if p in networks)


def _seconds(root: Path, job: PlannedJob) -> float | None:
    record = root / job.folder / RECORD
    return read_record(record).run.get("seconds") if record.is_file() else None

"""The default study from nothing: wall clock, memory, and where the time goes."""

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from measure import Figure

from thin_ice.provenance.statement import read_record

REPOSITORY = Path(__file__).resolve().parents[2]
TARGET_MINUTES = 5
RECORDS = "results/*/**/provenance.json"


def figures(cores: int = 2, study: Path = REPOSITORY / "config.yaml") -> list[Figure]:
    """Run a study into an empty folder and read its records."""
    with tempfile.TemporaryDirectory() as folder:
        snakemake = Path(sys.executable).parent / "snakemake"
        command = [snakemake, "--snakefile", REPOSITORY / "Snakefile", "--directory", folder]
        command += ["--cores", str(cores), "--configfile", str(study), "--quiet", "all"]
        clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "THIN_ICE_SHARE")}
        began, used = time.perf_counter(), _processor_seconds()
        with (Path(folder) / "said.txt").open("w") as said:
            subprocess.run(command, stdout=said, stderr=said, env=clean, check=True)
        wall, used = time.perf_counter() - began, _processor_seconds() - used
        records = [read_record(path) for path in Path(folder).glob(RECORDS)]
    stages, jobs = Counter(), Counter()
    for record in records:
        stages[record.job["stage"]] += record.run.get("seconds", 0.0)
        jobs[record.job["stage"]] += 1
    about = {stage: round(seconds, 1) for stage, seconds in stages.most_common()}
    spans = [(record.began, record.ended) for record in records]
    running = {f"{n}_jobs": round(100 * time / wall, 1) for n, time in at_once(spans).items()}
    memory = max(record.run.get("peak_memory_mib", 0.0) for record in records) / 1024
    return [
        Figure("default study", round(wall / 60, 2), "min", f"<= {TARGET_MINUTES}", about),
        Figure("its jobs, one after another", round(stages.total() / 60, 2), "min", "", jobs),
        Figure("processor time of the machine meanwhile", round(used / 60, 2), "min"),
        Figure("as many jobs as cores run", running[f"{cores}_jobs"], "% of the time", "", running),
        Figure("its largest job", round(memory, 2), "GiB"),
    ]


def at_once(spans: Sequence[tuple[datetime, datetime]]) -> dict[int, float]:
    """For how many seconds how many of these ran, from the first's beginning to the last's end."""
    changes = sorted([(a, 1) for a, _ in spans] + [(b, -1) for _, b in spans])
    seconds, running = Counter(), 0
    for (now, change), (later, _) in pairwise(changes):
        running += change
        seconds[running] += (later - now).total_seconds()
    return dict(sorted(seconds.items()))


def _processor_seconds() -> float:
    """Of the whole machine since it began, on Linux: jobs that begin as forks are nobody's children
    whose time would be added up.
    """
    user, nice, system = map(int, Path("/proc/stat").read_text().split()[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")

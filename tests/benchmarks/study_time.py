"""The default study from nothing: wall clock, memory, and where the time goes."""

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from measure import Figure

from thin_ice.provenance.statement import read_record

REPOSITORY = Path(__file__).resolve().parents[2]
TARGET_MINUTES = 5


def figures(cores: int = 2, study: Path = REPOSITORY / "config.yaml") -> list[Figure]:
    """Run a study into an empty folder and read its records."""
    with tempfile.TemporaryDirectory() as folder:
        snakemake = Path(sys.executable).parent / "snakemake"
        command = [snakemake, "--snakefile", REPOSITORY / "Snakefile", "--directory", folder]
        command += ["--cores", str(cores), "--configfile", str(study), "--quiet", "all"]
        clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "THIN_ICE_SHARE")}
        began = time.perf_counter()
        with (Path(folder) / "said.txt").open("w") as said:
            subprocess.run(command, stdout=said, stderr=said, env=clean, check=True)
        wall = time.perf_counter() - began
        stages, memory = _stages(Path(folder))
    about = {stage: round(seconds, 1) for stage, seconds in stages.most_common()}
    return [
        Figure("default study", round(wall / 60, 2), "min", f"<= {TARGET_MINUTES}", about),
        Figure("its jobs, one after another", round(stages.total() / 60, 2), "min"),
        Figure("its largest job", round(memory, 2), "GiB"),
    ]


def _stages(folder: Path) -> tuple[Counter[str], float]:
    """Seconds of the jobs by stage, and the most memory that one had, GiB."""
    seconds, memory = Counter(), 0.0
    for path in folder.glob("results/*/**/provenance.json"):
        record = read_record(path)
        seconds[record.job["stage"]] += record.run.get("seconds", 0.0)
        memory = max(memory, record.run.get("peak_memory_mib", 0.0) / 1024)
    return seconds, memory

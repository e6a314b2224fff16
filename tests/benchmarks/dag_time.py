"""How long `snakemake -n` takes for studies of about 100, 1,000 and 10,000 jobs, and for bare rules
of as many: `python tests/benchmarks/dag_time.py [JOBS ...]` prints a table.
"""

import os
import re
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
SIZES = (100, 1_000, 10_000)
FULL = "workflow/studies/thin-ice.yaml"
A_SEED = 73  # about as many jobs has each seed of the study below
STUDY = {
    "name": "dag",
    "threat": {"norm": "Linf", "eps": 0.1},
    "datasets": {"digits": {"limit_test": 100}},
    "models": {"digits_cnn": {}},
    "objectives": {"pgd_at": {}},
    "methods": {"lwm": {}, "hydra": {}, "radmm": {}},
    "sparsities": [0.5, 0.9, 0.99],
    "autoattack": {"shard_size": 100},
}
# As many jobs that each read a file of the one before, in chains of three, and one that needs all.
BARE = """
rule all:
    input: expand("results/{{number}}/c.txt", number=range({chains}))

rule a:
    output: "results/{{number}}/a.txt"
    params: job="a of {{number}}"
    shell: "echo {{params.job}} > {{output}}"

rule b:
    input: "results/{{number}}/a.txt"
    output: "results/{{number}}/b.txt"
    params: job="b of {{number}}"
    shell: "cp {{input}} {{output}}"

rule c:
    input: "results/{{number}}/b.txt"
    output: "results/{{number}}/c.txt"
    params: job="c of {{number}}"
    shell: "cp {{input}} {{output}}"
"""


@dataclass(frozen=True)
class DryRun:
    """What a dry run cost: jobs planned, seconds of processor time, and MiB at most."""

    jobs: int
    seconds: float
    memory: float


def dry_run(folder: Path, snakefile: Path, *arguments: str) -> DryRun:
    """``snakemake -n`` in ``folder``; its processor time, since others use the machine."""
    command = [Path(sys.executable).parent / "snakemake", "-n", "--quiet", "rules"]
    command += ["--snakefile", snakefile, "--directory", folder, *arguments]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    said = subprocess.run(command, capture_output=True, text=True, check=True, env=clean).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    total = re.search(r"^total\s+(\d+)$", said, flags=re.MULTILINE)
    return DryRun(int(total[1]), seconds, after.ru_maxrss / 1024)


def ours(folder: Path, jobs: int) -> DryRun:
    """A study with about so many jobs: more of them by more seeds."""
    study = STUDY | {"seeds": list(range(max(1, round(jobs / A_SEED))))}
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    configfile = str(folder / "study.yaml")
    return dry_run(folder, REPOSITORY / "Snakefile", "--configfile", configfile)


def bare(folder: Path, jobs: int) -> DryRun:
    """As many jobs of three bare rules."""
    (folder / "Snakefile").write_text(BARE.format(chains=round(jobs / 3)))
    return dry_run(folder, folder / "Snakefile")


def in_an_empty_folder(measure: object, jobs: int) -> DryRun:
    with tempfile.TemporaryDirectory() as folder:
        return measure(Path(folder), jobs)


if __name__ == "__main__":
    print("| jobs | seconds | MiB | bare rules | MiB | ratio |\n|---|---|---|---|---|---|")
    for size in map(int, sys.argv[1:] or SIZES):
        one = in_an_empty_folder(ours, size)
        other = in_an_empty_folder(bare, one.jobs)
        ratio = one.seconds / other.seconds
        cells = f"{one.seconds:.1f} | {one.memory:.0f} | {other.seconds:.1f} | {other.memory:.0f}"
        print(f"| {one.jobs:,} | {cells} | {ratio:.2f} |", flush=True)

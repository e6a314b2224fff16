"""How long `snakemake -n` takes for studies of about 100, 1,000 and 10,000 jobs, beside rules with
as many files and words but no code of ours behind them, and the barest rules of as many jobs; and
for finished studies, in which there is nothing to do.
`python tests/benchmarks/dag_time.py [JOBS ...]` prints tables of processor time and memory.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import yaml
from finished_study import finish
from measure import Figure

REPOSITORY = Path(__file__).resolve().parents[2]
SIZES = (100, 1_000, 10_000)
ROUNDS = 5  # of a finished study and of rules with nothing to do, in turn: others use the machine
FULL = "workflow/studies/thin-ice.yaml"
A_SEED = 75  # about as many jobs has each seed of the study below
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
# 10 methods x 2 networks x 2 datasets x 3 sparsities x 3 seeds; which methods is all one here.
GRID = STUDY | {
    "name": "grid",
    "seeds": [0, 1, 2],
    "datasets": {name: {"kind": "cifar10", "download": True} for name in ("one", "another")},
    "models": {"resnet18": {}, "vgg16_bn": {}},
    "methods": {f"method{number}": {"kind": "lwm"} for number in range(10)},
    "autoattack": {"shard_size": 1000},
}

# The barest: one parameter, one file that each job reads of the one before, in chains of three.
BAREST = """
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
# As many files, words and numbers as a rule of ours has on average, all of them plain text.
RULE = """
rule {name}:
    input: {inputs}
    output: {outputs}
    log: "results/{{number}}/{name}.log"
    threads: 1
    resources: gpu=1, mem_mb=8000, runtime=60
    params: job="{job}"
    message: "{name} of {{wildcards.number}}"
    shell: "python {{params.job:q}} {{input:q}} {{output:q}} --threads {{threads}} --log {{log:q}}"
"""
FILES = 3  # read and written by a job
VARIABLES = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")  # that make Python's imports slower
PARAMETER = "x" * 1500


def _plain(chains: int) -> str:
    rules = [f'rule all:\n    input: expand("results/{{n}}/c2.txt", n=range({chains}))']
    before = ""
    for name in "abc":
        inputs = _files(before) if before else ""
        rules.append(RULE.format(name=name, inputs=inputs, outputs=_files(name), job=PARAMETER))
        before = name
    return "\n".join(rules).replace("    input: \n", "")


def _files(name: str) -> str:
    return ", ".join(f'f{n}="results/{{number}}/{name}{n}.txt"' for n in range(FILES))


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
    clean = {k: v for k, v in os.environ.items() if k not in VARIABLES}
    with (folder / "said.txt").open("w") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, env=clean)
        _, status, used = os.wait4(process.pid, 0)
    text = (folder / "said.txt").read_text()
    assert status == 0, text
    total = re.search(r"^total\s+(\d+)$", text, flags=re.MULTILINE)
    assert total or "Nothing to be done" in text, text
    return DryRun(
        int(total[1]) if total else 0, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    )


def ours(folder: Path, jobs: int) -> DryRun:
    """A study with about so many jobs: more of them by more seeds."""
    return of_a_study(STUDY | {"seeds": list(range(max(1, round(jobs / A_SEED))))}, folder)


def of_a_study(study: dict, folder: Path) -> DryRun:
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    configfile = str(folder / "study.yaml")
    return dry_run(folder, REPOSITORY / "Snakefile", "--configfile", configfile)


def of_a_text(snakefile: str, folder: Path) -> DryRun:
    (folder / "Snakefile").write_text(snakefile)
    return dry_run(folder, folder / "Snakefile")


def barest(folder: Path, jobs: int) -> DryRun:
    return of_a_text(BAREST.format(chains=round(jobs / 3)), folder)


def plain(folder: Path, jobs: int) -> DryRun:
    return of_a_text(_plain(round(jobs / 3)), folder)


def in_an_empty_folder(measure: Callable[[Path, int], DryRun], jobs: int) -> DryRun:
    with tempfile.TemporaryDirectory() as folder:
        return measure(Path(folder), jobs)


def nothing_to_do(jobs: int) -> tuple[int, list[DryRun], list[DryRun]]:
    """A finished study of about so many jobs, how many it has, and plain rules of as many whose
    files are all there: rounds of dry runs of both, one of each in turn.
    """
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        planned = ours(Path(one), jobs).jobs
        chains = round(planned / 3)
        finish(Path(one) / "study.yaml", Path(one), REPOSITORY / "Snakefile")
        _finish_plain(Path(other), chains)
        again = (Path(one), REPOSITORY / "Snakefile", "--configfile", f"{one}/study.yaml")
        rounds = [(dry_run(*again), of_a_text(_plain(chains), Path(other))) for _ in range(ROUNDS)]
    studies, rules = ([pair[n] for pair in rounds] for n in range(2))
    assert not any(run.jobs for run in (*studies, *rules)), "there was something to do"
    return planned, studies, rules


def _finish_plain(folder: Path, chains: int) -> None:
    for name in "abc":  # in the order in which they are made
        for number in range(chains):
            (folder / f"results/{number}").mkdir(parents=True, exist_ok=True)
            for n in range(FILES):
                (folder / f"results/{number}/{name}{n}.txt").write_text("x")


def _cells(runs: list[DryRun]) -> list[str]:
    """Time and memory of the run that took the least time."""
    least = min(runs, key=lambda run: run.seconds)
    return [f"{least.seconds:.1f}", f"{least.memory:.0f}"]


def figures() -> list[Figure]:
    """A study of about 1,000 jobs: with nothing to do, and with everything."""
    count, studies, rules = nothing_to_do(SIZES[1])
    idle = median(one.seconds for one in studies) / median(one.seconds for one in rules)
    about = {"jobs": count, "ours_s": [round(one.seconds, 2) for one in studies]}
    about |= {"plain_s": [round(one.seconds, 2) for one in rules]}
    whole = in_an_empty_folder(ours, SIZES[1])
    busy = whole.seconds / in_an_empty_folder(plain, whole.jobs).seconds
    return [
        Figure("planning with nothing to do", round(idle, 2), "times plain rules", "<= 1.5", about),
        Figure("planning with all to do", round(busy, 2), "times plain rules"),
    ]


NOTHING = """\
| jobs, nothing to do | s | MiB | plain rules, s | MiB | ratio of medians |
|---|---|---|---|---|---|"""
HEADER = """\
| jobs | s | MiB | plain rules, s | MiB | ratio | barest rules, s | MiB | ratio |
|---|---|---|---|---|---|---|---|---|"""

if __name__ == "__main__":
    print(HEADER)
    for size in map(int, sys.argv[1:] or SIZES):
        one = in_an_empty_folder(ours, size)
        cells = [f"{one.jobs:,}", f"{one.seconds:.1f}", f"{one.memory:.0f}"]
        for other in (in_an_empty_folder(measure, one.jobs) for measure in (plain, barest)):
            ratio = one.seconds / other.seconds
            cells += [f"{other.seconds:.1f}", f"{other.memory:.0f}", f"{ratio:.2f}"]
        print(f"| {' | '.join(cells)} |", flush=True)
    print(f"\n{NOTHING}")
    for size in [size for size in map(int, sys.argv[1:] or SIZES) if size < SIZES[-1]]:
        count, studies, rules = nothing_to_do(size)
        ratio = median(one.seconds for one in studies) / median(one.seconds for one in rules)
        cells = [f"{count:,}", *_cells(studies), *_cells(rules), f"{ratio:.2f}"]
        print(f"| {' | '.join(cells)} |", flush=True)
    full = yaml.safe_load((REPOSITORY / FULL).read_text())
    for study in (full, GRID):
        with tempfile.TemporaryDirectory() as folder:
            one = of_a_study(study, Path(folder))
        print(f"{study['name']}: {one.jobs:,} jobs, {one.seconds:.1f} s, {one.memory:.0f} MiB")

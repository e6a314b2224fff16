"""How long a job takes to begin, in processor time, beside `import torch`, which none that computes
on networks can do without: what stages' commands import, and dense training up to its first step.
`python tests/benchmarks/start_up.py [STAGES ...]` prints a table of medians and their ratios.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

TESTS = Path(__file__).resolve().parents[1]
LIBRARY = TESTS.parent / "workflow"
sys.path[:0] = [str(LIBRARY), str(TESTS)]

from measure import Figure  # noqa: E402
from tiny_study import arguments_of, run_job, tiny_study  # noqa: E402

from thin_ice.study.jobs import planned_jobs  # noqa: E402

CHIEF = ("dense", "autoattack", "evaluate", "distances", "analyse", "report")
ROUNDS = 5  # of all, in turn, since others use the machine
TORCH, FIRST_STEP = "import torch", "dense, to the first step"
TARGET = 1.3  # times `import torch`, to the first step
# A process that ends, with a status of its own, where the optimiser would take its first step.
END = 42
LEAVE = f"import os; os._exit({END})"  # as it leaves, without tidying up
STOPPED = f"""
import os, sys
from thin_ice.commands.cli import main
from thin_ice.training import state
def stop(self, closure=None):
    os._exit({END})
state.EagerSgd.step = stop
main(sys.argv[1:])
"""


def seconds(*words: str) -> float:
    """Processor time of ``python WORDS``, which ends with `END`."""
    drop = ("PYTHONDONTWRITEBYTECODE", "THIN_ICE_HEARTH")
    variables = {name: value for name, value in os.environ.items() if name not in drop}
    process = subprocess.Popen(
        [sys.executable, *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=variables | {"PYTHONPATH": str(LIBRARY)},
    )
    _, ended, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(ended)
    assert process.returncode == END, f"python {' '.join(words)[:200]}: {process.returncode}"
    return used.ru_utime + used.ru_stime


def measure(rounds: int = ROUNDS, stages: Sequence[str] = CHIEF) -> list[Figure]:
    """The ratio that has a target, and the seconds behind it."""
    with tempfile.TemporaryDirectory() as folder:
        job = _dense_job(Path(folder))
        runs = {
            TORCH: lambda: seconds("-c", f"{TORCH}; {LEAVE}"),
            FIRST_STEP: lambda: seconds("-c", STOPPED, *job),
        }
        runs |= {
            f"import of {stage}": lambda stage=stage: seconds(
                "-c", f"import thin_ice.commands.cli, thin_ice.commands.{stage}; {LEAVE}"
            )
            for stage in stages
        }
        for run in runs.values():  # compiles what has changed, and fills the caches of the disk
            run()
        found = {name: [] for name in runs}
        for number in range(rounds):  # there and back, since what ran before leaves its traces
            for name in list(runs)[:: 1 - 2 * (number % 2)]:
                found[name].append(runs[name]())
    return _figures({name: median(times) for name, times in found.items()})


def _dense_job(root: Path) -> list[str]:
    """The command line of a dense network's job whose dataset is there."""
    jobs = {job.stage: job for job in reversed(planned_jobs(tiny_study()))}
    run_job(jobs["dataset"], root)
    return arguments_of(jobs["dense"], root)


def _figures(times: dict[str, float]) -> list[Figure]:
    ratio = round(times[FIRST_STEP] / times[TORCH], 2)
    first = Figure(f"{FIRST_STEP}, beside {TORCH}", ratio, "times", f"<= {TARGET}")
    return [first, *(Figure(name, round(time, 3), "s") for name, time in times.items())]


def figures() -> list[Figure]:
    """For the table of all benchmarks."""
    return [replace(one, name=f"start-up: {one.name}") for one in measure(stages=CHIEF[:2])]


def table(figures: list[Figure]) -> str:
    """Seconds and ratios, for people."""
    (torch,) = (one.value for one in figures if one.name == TORCH)
    lines = ["| | s | times import torch |", "|---|---|---|"]
    lines += [
        f"| {one.name} | {one.value:.2f} | {one.value / torch:.2f} |"
        for one in figures
        if one.unit == "s"
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    measured = measure(stages=sys.argv[1:] or CHIEF)
    print(table(measured))
    goal = measured[0]
    print(f"\n{goal.name}: {goal.value}; {goal.target}, reached: {goal.reached}")

"""How the benchmarks measure: two things alternately in one process, since absolute times on shared
machines do not last.
"""

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One line of the table. ``target``: as a person says it, e.g. ``>= 2``; none where a figure
    explains others.
    """

    name: str
    value: float
    unit: str
    target: str = ""
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def reached(self) -> str:
        """``yes``, ``no``, or nothing where there is no target."""
        if not self.target:
            return ""
        sign, number = self.target.split()
        holds = {">=": self.value >= float(number), "<=": self.value <= float(number)}
        return "yes" if holds[sign] else "no"

    def as_dict(self) -> dict[str, Any]:
        named = {"name": self.name, "value": self.value, "unit": self.unit}
        return named | {"target": self.target, "reached": self.reached, "about": self.about}


def alternately(rounds: int, *work: Callable[[], object]) -> list[list[float]]:
    """Seconds of each function in each of so many rounds, one after another in every round; a first
    round, whose caches are cold, does not count.
    """
    seconds: list[list[float]] = [[] for _ in work]
    for number in range(rounds + 1):
        for one, kept in zip(work, seconds, strict=True):
            clock = time.perf_counter()
            one()
            if number:
                kept.append(time.perf_counter() - clock)
    return seconds


def speed_up(slow: list[float], fast: list[float]) -> tuple[float, dict[str, Any]]:
    """How many times faster: the median over the rounds, and what lies behind it."""
    ratios = [a / b for a, b in zip(slow, fast, strict=True)]
    about = {
        "lowest": round(min(ratios), 2),
        "highest": round(max(ratios), 2),
        "reference_s": round(statistics.median(slow), 4),
        "ours_s": round(statistics.median(fast), 4),
    }
    return round(statistics.median(ratios), 2), about


def peak_memory_mib(work: Callable[..., object], *given: object) -> int:
    """The most memory that a new process has which does this alone, on Linux; ``work`` is a
    function of a module.
    """
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return round(pool.submit(_peak_after, work, given).result() / 1024)


def _peak_after(work: Callable[..., object], given: tuple) -> int:
    work(*given)
    status = Path("/proc/self/status").read_text()  # getrusage has the parent's peak too
    return int(status.partition("VmHWM:")[2].split()[0])


HEADER = "| what | measured | target | reached |\n|---|---|---|---|"


def table(figures: list[Figure], header: bool = True) -> str:
    """Markdown, a line a figure."""
    lines = [
        f"| {one.name} | {one.value:g} {one.unit} | {one.target} | {one.reached} |"
        for one in figures
    ]
    return "\n".join([HEADER, *lines] if header else lines)

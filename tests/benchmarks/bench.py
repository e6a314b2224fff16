"""Every target of speed and what is reached: `make bench`, or
`python tests/benchmarks/bench.py [--only training,attacks] [--json FILE]`.

Ratios are of two things in one run, taken in turn. The table goes to the terminal as it grows, and
with its details (medians, spread, where the time went) into the JSON file.
"""

import argparse
import importlib
import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

import torch
from measure import HEADER, Figure, table

REPOSITORY = Path(__file__).resolve().parents[2]
CORES = 2
GROUPS = {  # what is measured, by the module that does it
    "training": "training_speed",
    "attacks": "attack_speed",
    "start": "start_up",
    "planning": "dag_time",
    "verification": "verification_time",
    "audit": "audit_speed",
    "study": "study_time",
}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    known = ",".join(GROUPS)
    parser.add_argument("--only", default=known, help=f"some of {known}")
    parser.add_argument("--json", type=Path, help="where the figures go with their details")
    options = parser.parse_args(arguments)
    chosen = options.only.split(",")
    if unknown := sorted(set(chosen) - set(GROUPS)):
        parser.error(f"--only {','.join(unknown)}: allowed are {known}")
    torch.set_num_threads(CORES)
    print(HEADER)
    found: list[Figure] = []
    for name in chosen:
        figures = importlib.import_module(GROUPS[name]).figures()
        print(table(figures, header=False), flush=True)
        found += figures
        if options.json:
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text(json.dumps(report(found), indent=1) + "\n")
    if any(one.reached == "no" for one in found):
        print(f"\n{explained(found)}")


def explained(figures: list[Figure]) -> str:
    """Each target that was missed with what was measured beside it: of a study the stages' shares
    of its time, from one percent.
    """
    return "\n".join(
        f"Missed: {one.name}, {one.value:g} {one.unit} (target {one.target}): {_behind(one)}."
        for one in figures
        if one.reached == "no"
    )


def _behind(missed: Figure) -> str:
    if missed.unit != "min":
        return ", ".join(f"{name} {value}" for name, value in missed.about.items())
    whole = sum(missed.about.values())
    shares = {stage: 100 * seconds / whole for stage, seconds in missed.about.items()}
    return ", ".join(f"{stage} {share:.0f} %" for stage, share in shares.items() if share >= 1)


def report(figures: list[Figure]) -> dict:
    """Everything, with what it was measured on."""
    return {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "figures": [one.as_dict() for one in figures],
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else 'unknown'}, {torch.backends.cpu.get_cpu_capability()}"


if __name__ == "__main__":
    main(sys.argv[1:])

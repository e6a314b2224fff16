"""Write a finished study in the forms that leaderboards take.

RobustBench's JSON for every network, and for methods of the adversarial-pruning benchmark their
taxonomy entry with their networks' model keys and accuracies.
"""

import argparse
from pathlib import Path

from thin_ice.commands.sound import add_arguments, sound_study
from thin_ice.files import atomic_folder, write_json
from thin_ice.provenance.leaderboards import pruning_benchmark
from thin_ice.provenance.leaderboards.measured import Measured, measured
from thin_ice.provenance.leaderboards.robustbench import model_info

__all__ = ["add_arguments", "run"]


def run(options: argparse.Namespace) -> int:
    """0 when the files are written.

    Raises:
        ThinIceError: the target holds something, or the study is not finished or not sound.
    """
    study = list(measured(sound_study(options)))
    entries = pruning_benchmark.entries(study)
    with atomic_folder(options.to) as folder:
        for one in study:
            name = one.folder.replace("/", "-")
            write_json(folder / "robustbench" / f"{name}.json", model_info(one))
        for method, entry in entries.items():
            write_json(folder / "adversarial_pruning_benchmark" / f"{method}.json", entry)
    print(f"wrote {len(study)} networks for RobustBench to {options.to}/robustbench")
    _tell(study, len(entries), options.to)
    return 0


def _tell(study: list[Measured], methods: int, target: Path) -> None:
    """What went to the pruning benchmark, and why the rest did not: each reason once."""
    if methods:
        where = f"{target}/adversarial_pruning_benchmark"
        print(f"wrote {methods} methods for the adversarial-pruning benchmark to {where}")
    refused: dict[str, int] = {}
    for one in study:
        if one.pruned and (why := pruning_benchmark.why_not(one)):
            refused[f"{one.method}: {why}"] = refused.get(f"{one.method}: {why}", 0) + 1
    for why, count in refused.items():
        print(f"not for the adversarial-pruning benchmark: {count} networks by {why}")

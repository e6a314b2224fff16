"""Snakemake's dry runs as forks of a process that has imported Snakemake.

Snakemake takes a second to import and a fraction of one to plan. Nothing here may import the
library: a fork takes it from the checkout that it plans for, as Snakemake itself does.
"""

import multiprocessing
import os
import sys
from collections.abc import Iterable
from pathlib import Path

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["snakemake.cli"])


def in_a_fork(folder: Path, arguments: Iterable[str]) -> tuple[int, str]:
    """Snakemake's exit status in ``folder``, and what it prints."""
    printed, status = folder / "printed.txt", folder / "status.txt"
    status.unlink(missing_ok=True)
    process = FORKS.Process(target=_snakemake, args=(folder, list(arguments), printed, status))
    process.start()
    process.join()  # its exit code can be lost where several threads wait for their processes
    return int(status.read_text()), printed.read_text()


def _snakemake(folder: Path, arguments: list[str], printed: Path, status: Path) -> None:
    with printed.open("w") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    os.chdir(folder)
    os.environ.pop("PYTHONPATH", None)
    assert "thin_ice" not in sys.modules
    from snakemake.cli import main

    try:
        main(arguments)
    except SystemExit as end:
        status.write_text(f"{end.code}")

"""What a dry run would ask a cluster for, job by job; forks of a process that knows Snakemake.

The rules have messages, in whose place Snakemake would print resources; here they are taken from
the records of its log.
"""

import json
import logging
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dry_runs import FORKS, _snakemake

Jobs = list[dict[str, Any]]  # rule, wildcards, resources


def planned_resources(folder: Path, arguments: Iterable[str], **variables: str) -> Jobs:
    """The jobs that Snakemake plans in ``folder``, in a dry run of these arguments."""
    found = folder / "resources.json"
    found.unlink(missing_ok=True)
    process = FORKS.Process(target=_planned, args=(folder, list(arguments), found, variables))
    process.start()
    process.join()
    return json.loads(found.read_text())


class Asked(logging.Filter):
    """Keeps what jobs ask for. Snakemake clears its logger of handlers, not of filters."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: Jobs = []

    def filter(self, record: logging.LogRecord) -> bool:
        if getattr(record, "rule_name", None):
            resources = {k: v for k, v in record.resources.items() if isinstance(v, int | str)}
            wildcards = dict(record.wildcards or {})
            self.jobs.append(
                {"rule": record.rule_name, "wildcards": wildcards, "resources": resources}
            )
        return True


def _planned(folder: Path, arguments: list[str], found: Path, variables: dict[str, str]) -> None:
    import os

    from snakemake.logging import logger

    asked = Asked()
    logger.addFilter(asked)
    os.environ.update(variables)
    _snakemake(folder, ["-n", *arguments], folder / "printed.txt", folder / "status.txt")
    torch = "torch" in sys.modules
    found.write_text(json.dumps([job | {"torch": torch} for job in asked.jobs]))

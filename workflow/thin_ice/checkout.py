"""Make a workflow's jobs use this very checkout, and the interpreter that they are to run in."""

import os
import shlex
import sys
from collections.abc import Collection
from pathlib import Path

LIBRARY = Path(__file__).resolve().parents[1]


def use_in_jobs() -> None:
    """Set what jobs inherit, also on cluster nodes and where no environment is activated.

    Many jobs share one terminal, so none of them draws a bar there.
    """
    _prepend("PYTHONPATH", str(LIBRARY))
    _prepend("PATH", str(Path(sys.executable).parent))
    os.environ["THIN_ICE_PROGRESS"] = "lines"


def before_commands(deployment: Collection[str]) -> str:
    """What a job's shell runs once its software is there, for ``snakemake --sdm DEPLOYMENT``; text
    that Snakemake formats.

    Snakemake takes PYTHONPATH away from conda's environments, and conda puts an environment in
    the place of the one that was active before, which can be behind the interpreter that
    `use_in_jobs` set. A container has the PATH of its image. Neither may see packages of the
    user's home.
    """
    library = shlex.quote(str(LIBRARY)).replace("{", "{{").replace("}", "}}")
    path = ' PATH="$CONDA_PREFIX/bin:$PATH"' if "conda" in deployment else ""
    return f"set -euo pipefail; export PYTHONPATH={library} PYTHONNOUSERSITE=1{path}; "


def _prepend(variable: str, entry: str) -> None:
    others = [e for e in os.environ.get(variable, "").split(os.pathsep) if e and e != entry]
    os.environ[variable] = os.pathsep.join([entry, *others])

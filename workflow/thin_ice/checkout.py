"""Make a workflow's jobs use this very checkout and this very interpreter."""

import os
import sys
from pathlib import Path

LIBRARY = Path(__file__).resolve().parents[1]


def use_in_jobs() -> None:
    """Set what jobs inherit, also on cluster nodes and where no environment is activated.

    Many jobs share one terminal, so none of them draws a bar there.
    """
    _prepend("PYTHONPATH", str(LIBRARY))
    _prepend("PATH", str(Path(sys.executable).parent))
    os.environ["THIN_ICE_PROGRESS"] = "lines"


def _prepend(variable: str, entry: str) -> None:
    others = [e for e in os.environ.get(variable, "").split(os.pathsep) if e and e != entry]
    os.environ[variable] = os.pathsep.join([entry, *others])

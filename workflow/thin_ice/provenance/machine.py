"""What a job ran on and with: host, packages, scheduler, checkout."""

import importlib.metadata
import os
import platform
import resource
import subprocess
from collections.abc import Iterable
from pathlib import Path

from thin_ice.provenance.fingerprint import packages_imported

PACKAGES = {  # by the name that code imports: what may change a result when it is upgraded
    "torch": "torch",
    "numpy": "numpy",
    "scipy": "scipy",
    "pandas": "pandas",
    "pyarrow": "pyarrow",
    "sklearn": "scikit-learn",
    "safetensors": "safetensors",
    "torch_pruning": "torch-pruning",
    "pyautoattack": "pyautoattack",
    "autoattack": "autoattack",
    "PIL": "pillow",
    "seaborn": "seaborn",
    "matplotlib": "matplotlib",
    "jinja2": "jinja2",
    "yaml": "pyyaml",
}
REPOSITORY = Path(__file__).resolve().parents[3]


def versions(packages: Iterable[str]) -> dict[str, str]:
    """The installed version of each package that is installed, and Python's."""
    found = {"python": platform.python_version()}
    for name in sorted(packages):
        try:
            found[name] = importlib.metadata.version(name)
        except (importlib.metadata.PackageNotFoundError, ValueError):  # an empty name
            continue
    return found


def packages_used(modules: Iterable[str]) -> list[str]:
    """Those of `PACKAGES` that these modules of the project can reach, by their own names."""
    return sorted({PACKAGES[name] for name in packages_imported(modules) if name in PACKAGES})


def scheduler_job() -> str:
    """The scheduler's id of this job, or the process id where there is no scheduler."""
    slurm = os.environ.get("SLURM_JOB_ID")
    return f"slurm:{slurm}" if slurm else f"pid:{os.getpid()}"


def host() -> dict[str, object]:
    """Name, system and processor of this machine, and the most memory this process has held."""
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "host": platform.node(),
        "platform": platform.platform(),
        "processor": _processor(),
        "peak_memory_mib": round(peak_kib / 1024, 1),
    }


def _processor() -> str:
    """The processor's name as Linux gives it; elsewhere what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def git_state() -> dict[str, object]:
    """The commit of the checkout that this library lies in, and whether it had changes."""
    commit = _git("rev-parse", "HEAD")
    return {"commit": commit, "dirty": bool(_git("status", "--porcelain")) if commit else None}


def _git(*arguments: str) -> str | None:
    """What git prints; None where there is no git or no checkout."""
    try:
        done = subprocess.run(
            ["git", "-C", str(REPOSITORY), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()

"""What a site says of its cluster: names for Slurm, limits, the speed of its GPUs.

Read from a file that git ignores. No job's parameters depend on it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from thin_ice.errors import ThinIceError
from thin_ice.study.schema import SCHEMA, violation

FILE = "site.yaml"
VARIABLE = "THIN_ICE_SITE"
RESOURCES = {  # of the executor plugin for Slurm
    "partition": "slurm_partition",
    "account": "slurm_account",
    "model": "gpu_model",
    "constraint": "constraint",
    "qos": "qos",
}
# Two minutes before its time is up a job that can go on later is told to save itself.
WARNING = "--signal=USR1@120"


class BadSite(ThinIceError):
    """The site's file cannot be used; names the key, the value and what is allowed."""


@dataclass(frozen=True)
class Site:
    """A site's words, ``gpu`` for jobs on networks and ``cpu`` for all others."""

    gflops: float | None = None
    gpu: Mapping[str, Any] = field(default_factory=dict)
    cpu: Mapping[str, Any] = field(default_factory=dict)

    def slurm(self, on_gpu: bool) -> dict[str, str]:
        """What Slurm is told of every job of a kind, by the executor's names."""
        words = self.gpu if on_gpu else self.cpu
        told = {name: words[key] for key, name in RESOURCES.items() if key in words}
        extra = [words["extra"]] if "extra" in words else []
        if on_gpu and not any("--signal" in one for one in extra):
            extra.append(WARNING)
        return told | ({"slurm_extra": " ".join(extra)} if extra else {})

    def minutes(self, wanted: int, on_gpu: bool) -> int:
        """No more than the site allows."""
        return min(wanted, (self.gpu if on_gpu else self.cpu).get("max_minutes", wanted))

    def mem_mb(self, wanted: int, on_gpu: bool) -> int:
        """No more than the site allows."""
        return min(wanted, (self.gpu if on_gpu else self.cpu).get("max_mem_mb", wanted))


def site_of(checkout: str | Path, environment: Mapping[str, str]) -> Site:
    """The site that `VARIABLE` names, or that of the checkout, or one without wishes.

    Raises:
        BadSite: the named file is not there, or a file cannot be read or breaks the schema.
    """
    if named := environment.get(VARIABLE):
        if not Path(named).is_file():
            raise BadSite(f"{VARIABLE}: {named!r} is no file; allowed: a site's file, or unset")
        return site_from_file(named)
    file = Path(checkout) / FILE
    return site_from_file(file) if file.is_file() else Site()


def site_from_file(path: str | Path) -> Site:
    """The site in a YAML file. Raises `BadSite` as `site_of`."""
    try:
        raw = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadSite(f"site: cannot read {path}: {error}") from None
    raw = {} if raw is None else raw
    if found := violation(raw, _schema()):
        key, problem = found
        raise BadSite(f"site {path}: {key}: {problem}" if key else f"site {path}: {problem}")
    return Site(**raw)


@cache
def _schema() -> dict:
    """The JSON schema of a site."""
    path = SCHEMA.with_name("site.schema.yaml")
    return yaml.safe_load(path.read_text(encoding="utf-8"))

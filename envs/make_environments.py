"""Write the conda environments of the rules, `gpu.yaml`, `cpu.yaml` and `analysis.yaml`, from the
lock: ``make lock`` runs this, in the environment that the lock describes.

An environment holds what the stages of its rules import, and all that those packages need, at the
versions of the lock. Which rule uses which environment stands in the rules alone.

Everything but Python comes from PyPI. torch is pinned like the rest, in both environments that have
it: a pin without a local version (`+cpu`) admits every build of that release, so which build is
installed is settled where the environment is made, by what pip is configured to find there.
"""

import re
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

FOLDER = Path(__file__).resolve().parent
CHECKOUT = FOLDER.parent
sys.path.insert(0, str(CHECKOUT / "workflow"))

from thin_ice.provenance.fingerprint import closure, packages_imported  # noqa: E402
from thin_ice.tables import TABLES  # noqa: E402

HEAD = "# Made from requirements.txt and the rules by `make lock`; not edited by hand.\n"
# Every stage counts its progress, and pandas imports by itself what reads and writes Parquet.
UNNAMED = ("tqdm", "pyarrow")
RULE = re.compile(r"^rule (\w+):\n(.*?)(?=^\S|\Z)", re.MULTILINE | re.DOTALL)
CONDA = re.compile(r'^    conda:\n        "\.\./\.\./envs/(\w+)\.yaml"$', re.MULTILINE)


def stages() -> dict[str, list[str]]:
    """By environment, the stages whose rules name it. A rule has the name of its stage."""
    found: dict[str, list[str]] = {}
    for path in sorted((CHECKOUT / "workflow/rules").glob("*.smk")):
        for name, body in RULE.findall(path.read_text(encoding="utf-8")):
            for environment in CONDA.findall(body):
                found.setdefault(environment, []).append(name)
    return found


def pins() -> dict[str, str]:
    """Every pinned version by the normalised name of its package; torch is the Makefile's."""
    lock = (FOLDER / "requirements.txt").read_text(encoding="utf-8")
    torch = re.search(r"^TORCH := (torch==.+)$", (CHECKOUT / "Makefile").read_text(), re.MULTILINE)
    lines = [torch[1], *lock.splitlines()]
    return {
        canonicalize_name(name): line for line in lines if (name := line.partition("==")[0]) != line
    }


def imported(stage: str) -> set[str]:
    """Names that a stage's code can import, any entry of the tables among it if it uses them."""
    modules = {f"thin_ice.commands.{stage}"}
    if "thin_ice.tables" in closure(modules):
        modules |= {entry for table in TABLES.values() for entry in table.values()}
    return packages_imported(modules) - set(sys.stdlib_module_names)


def with_needs(packages: Iterable[str]) -> set[str]:
    """The packages and all that they need, at any depth, of what is installed here."""
    found: set[str] = set()
    waiting = {canonicalize_name(name) for name in packages}
    while waiting:
        name = waiting.pop()
        found.add(name)
        needs = map(Requirement, requires(name) or [])
        used = (one for one in needs if not one.marker or one.marker.evaluate({"extra": ""}))
        waiting |= {canonicalize_name(one.name) for one in used} - found
    return found


def pinned(names: Iterable[str], lock: Mapping[str, str]) -> list[str]:
    """The lines of pip for the packages that these names are imported from."""
    known = packages_distributions()
    packages = {package for name in names for package in known.get(name, [])}
    return [lock[name] for name in sorted(with_needs({*packages, *UNNAMED}))]


def environment(lines: list[str]) -> str:
    """The file of an environment that has these packages."""
    python = f"python={sys.version_info.major}.{sys.version_info.minor}"
    content = {
        "channels": ["conda-forge", "nodefaults"],
        "dependencies": [python, "pip", {"pip": lines}],
    }
    return HEAD + yaml.safe_dump(content, sort_keys=False)


def environments() -> dict[str, str]:
    """The file of each environment, by its name."""
    lock = pins()
    return {
        f"{name}.yaml": environment(pinned(set().union(*map(imported, used)), lock))
        for name, used in stages().items()
    }


if __name__ == "__main__":
    for name, text in environments().items():
        (FOLDER / name).write_text(text, encoding="utf-8")

"""Run a command of the library where only some of the installed packages can be imported.

``python only_these.py PACKAGE,PACKAGE ARGUMENTS`` does what ``python -m thin_ice ARGUMENTS`` does
there; without arguments it imports the modules that standard input names.
"""

import importlib
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import yaml

ENVS = Path(__file__).resolve().parents[2] / "envs"


def normalised(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def content(environment):
    return yaml.safe_load((ENVS / f"{environment}.yaml").read_text())


def pinned(environment):
    *_, pip = content(environment)["dependencies"]
    return pip["pip"]


def packages(environment):
    return {normalised(line.partition("==")[0]) for line in pinned(environment)}


def run_with(environment, *arguments, **options):
    """Run this file with the packages of an environment."""
    words = [sys.executable, __file__, ",".join(packages(environment)), *arguments]
    return subprocess.run(words, capture_output=True, text=True, check=False, **options)


class Refusal:
    """First of the finders: what belongs to other packages alone is not to be found."""

    def __init__(self, allowed):
        self.refused = {
            name
            for name, packages in packages_distributions().items()
            if name not in sys.stdlib_module_names and not {*map(normalised, packages)} & allowed
        } - {"thin_ice"}

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.refused:
            raise ModuleNotFoundError(f"{name} is not in this environment", name=name)


if __name__ == "__main__":
    allowed, *arguments = sys.argv[1:]
    sys.meta_path.insert(0, Refusal(set(allowed.split(","))))
    if not arguments:
        for module in sys.stdin.read().split():
            importlib.import_module(module)
        sys.exit()
    from thin_ice.commands.cli import main

    sys.exit(main(arguments))

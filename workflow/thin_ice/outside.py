"""Weights from outside a study: where their file lies, found without running any of their code.

A study names them in one of three ways: a file, a file inside an installed package, or a Python
callable, ``module:function``. Only the job that reads them may import anything.
"""

import sys
from collections.abc import Mapping
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from thin_ice.errors import ThinIceError


class MissingWeights(ThinIceError):
    """Weights from outside are not where the study says."""


def weights_file(checkpoint: Mapping[str, Any]) -> Path:
    """The file that a ``checkpoint`` of a resolved study names; of a callable, its module's.

    Raises:
        MissingWeights: there is no such file, package or module.
    """
    if checkpoint["entry_point"]:
        return module_file(checkpoint["entry_point"].partition(":")[0])
    path = Path(checkpoint["file"] or _in_package(checkpoint["package"], checkpoint["path"]))
    if not path.is_file():
        raise MissingWeights(f"there is no file {path}; allowed: a file with a state dict")
    return path


def source_name(checkpoint: Mapping[str, Any]) -> str:
    """What records and tables call the weights, the same on every machine."""
    if checkpoint["entry_point"]:
        return checkpoint["entry_point"]
    if checkpoint["package"]:
        return f"{checkpoint['package']}/{checkpoint['path']}"
    return f"checkpoint/{Path(checkpoint['file']).name}"


def module_file(module: str) -> Path:
    """The source of a module, which is not imported, nor are the packages it lies in.

    Raises:
        MissingWeights: there is no such module, or it has no source file.
    """
    found = _spec(module)
    if found is None or not found.has_location or not Path(found.origin).is_file():
        raise MissingWeights(
            f"there is no module {module} here; allowed: one that lies in the working folder or "
            "is installed"
        )
    return Path(found.origin)


def _spec(module: str) -> ModuleSpec | None:
    """`importlib.util.find_spec` would import the packages around a module; this does not."""
    places: list[str] | None = [str(Path.cwd()), *sys.path]  # as `python -m` has it
    found = None
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        found = PathFinder.find_spec(".".join(parts[:end]), places)
        places = list(found.submodule_search_locations or []) if found else []
    return found


def _in_package(package: str, path: str) -> Path:
    """A file below an installed package's folder."""
    found = _spec(package)
    if found is None or not found.submodule_search_locations:
        raise MissingWeights(f"no package {package} is installed; allowed: one that is")
    folder = Path(next(iter(found.submodule_search_locations))).resolve()
    inside = (folder / path).resolve()
    if not inside.is_relative_to(folder):
        raise MissingWeights(f"{path} leaves the package {package}; allowed: a file inside it")
    return inside

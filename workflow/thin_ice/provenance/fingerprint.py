"""A fingerprint of the code that a job can reach, so that an edit reruns what it touches.

The project's own modules are followed from the job's entry points along their import statements.
Each module counts by its syntax tree without comments and docstrings: a reformatted comment
changes nothing. Modules that a table names as text are not followed; the job names the entries it
chose, so an edit in one method leaves the others alone.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

PACKAGE = "thin_ice"
ROOT = Path(__file__).resolve().parents[1]
INDEX = f"{PACKAGE}.tables"  # names every entry; a new line there is no change to the others


def fingerprint(modules: list[str]) -> str:
    """SHA-256 over the normalised source of ``modules`` and all they import from the package."""
    digest = hashlib.sha256()
    for module in sorted(closure(modules) - {INDEX}):
        digest.update(f"{module}\n{normalised(module)}\n".encode())
    return digest.hexdigest()


def closure(modules: list[str]) -> set[str]:
    """The given modules and every module of the package that they import, at any depth."""
    reached: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module not in reached:
            reached.add(module)
            waiting += imported(module)
    return reached


@cache
def imported(module: str) -> tuple[str, ...]:
    """The package's own modules that ``module`` imports anywhere in its source."""
    names: list[str] = []
    for node in ast.walk(module_tree(module)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
            names.append(node.module or "")
    return tuple(sorted({name for name in names if _is_ours(name)}))


@cache
def normalised(module: str) -> str:
    """The syntax tree of a module as text, docstrings removed; positions are not part of it."""
    tree = module_tree(module)
    for node in ast.walk(tree):
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        if documented and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)


def module_tree(module: str) -> ast.Module:
    """The syntax tree of one of the package's own modules."""
    return ast.parse(_file(module).read_text(encoding="utf-8"))


def _file(module: str) -> Path:
    path = ROOT.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _is_ours(name: str) -> bool:
    return (name == PACKAGE or name.startswith(f"{PACKAGE}.")) and _file(name).is_file()

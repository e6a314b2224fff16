"""A fingerprint of the code that a job can reach, so that an edit reruns what it touches.

The project's own modules are followed from the job's entry points along their import statements.
Each module counts by its syntax tree without comments and docstrings: a reformatted comment
changes nothing. A file that lies beside a module under its name (``report.html.j2`` beside
``report.py``) is part of that module, byte for byte. Modules that a table names as text are not
followed; the job names the entries it chose, so an edit in one method leaves the others alone.

The tree is written out here and not by `ast.dump`, whose text differs between versions of Python:
a fingerprint must be the same on every machine that shares results.

What was read of a source is remembered beside the compiled modules, by the source's digest: parsing
all that a study's jobs reach takes half a second, and every job asks. Sources kept beside results
are read anew.
"""

import ast
import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path

from thin_ice.files import write_json

PACKAGE = "thin_ice"
ROOT = Path(__file__).resolve().parents[1]
INDEX = f"{PACKAGE}.tables"  # names every entry; a new line there is no change to the others
IMPORTS = (ast.Import, ast.ImportFrom)
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef)

MEMORY = ROOT / "__pycache__" / "fingerprints.json"
FORGOTTEN = 4096  # sources that are remembered; one more, and all are forgotten

Sources = dict[str, str]  # path, "thin_ice/files.py", to text
Summary = tuple[str, tuple[str, ...]]  # digest of a normalised source; the names that it imports


def fingerprint(modules: Iterable[str]) -> str:
    """SHA-256 over the normalised source of ``modules`` and all they import from the package."""
    found = _fingerprint(sources(modules), lambda text: _remembered(text)[0])
    _Memory.save()
    return found


def fingerprint_of(files: Mapping[str, str]) -> str:
    """The fingerprint of these sources, wherever they are kept.

    Raises:
        SyntaxError: a source is no Python.
    """
    return _fingerprint(files, lambda text: _summary(text)[0])


def _fingerprint(files: Mapping[str, str], digest_of: Callable[[str], str]) -> str:
    digest = hashlib.sha256()
    for name in sorted(files):
        text = files[name]
        own = digest_of(text) if name.endswith(".py") else _sha256(text)
        digest.update(f"{name} {own}\n".encode())
    return digest.hexdigest()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def sources(modules: Iterable[str]) -> Sources:
    """The files that ``modules`` reach, without the tables.

    Raises:
        FileNotFoundError: one of the modules does not exist.
    """
    files: Sources = {}
    for module in closure(modules) - {INDEX}:
        files |= _files_of(module)
    return files


def closure(modules: Iterable[str]) -> set[str]:
    """The given modules and every module of the package that they import, at any depth.

    A class of a module, ``module:Class``, stands for its module.
    """
    reached: set[str] = set()
    waiting = [module.partition(":")[0] for module in modules]
    while waiting:
        module = waiting.pop()
        if module not in reached:
            reached.add(module)
            waiting += imported(module)
            waiting += [name for name in _packages(module) if _holds_code(name)]
    return reached


def _packages(module: str) -> list[str]:
    """The packages that ``module`` lies in; importing it runs them."""
    parts = module.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts))]


@cache
def _holds_code(package: str) -> bool:
    return _remembered(_file(package).read_text(encoding="utf-8")) != _remembered("")


@cache
def imported(module: str) -> tuple[str, ...]:
    """The package's own modules that ``module`` imports anywhere in its source."""
    return tuple(sorted({name for name in _names_imported(module) if _is_ours(name)}))


def packages_imported(modules: Iterable[str]) -> set[str]:
    """Top-level names of other packages that ``modules`` can reach: torch, numpy, ..."""
    names = {name.split(".")[0] for module in closure(modules) for name in _names_imported(module)}
    return names - {PACKAGE, ""}


@cache
def _names_imported(module: str) -> tuple[str, ...]:
    return _remembered(_file(module).read_text(encoding="utf-8"))[1]


def normalised(source: str) -> str:
    """The syntax tree of a source as text, docstrings removed; positions are not part of it."""
    return _read(source)[0]


@lru_cache(maxsize=1024)
def _read(source: str) -> tuple[str, tuple[str, ...]]:
    """A source normalised, and the names that it imports, from one walk through its tree: whoever
    plans a study waits until all that its jobs can reach is read.
    """
    text: list[str] = []
    names: list[str] = []
    _write(ast.parse(source), text, names)
    return "".join(text), tuple(names)


def _summary(source: str) -> Summary:
    text, names = _read(source)
    return _sha256(text), names


@lru_cache(maxsize=1024)
def _remembered(source: str) -> Summary:
    """The summary of one of the package's own sources, by this process or by one before."""
    known, digest = _Memory.known(), _sha256(source)
    if digest not in known:
        known[digest] = _summary(source)
        _Memory.changed = True
    return known[digest]


class _Memory:
    """Summaries of sources by the sources' digests, as `MEMORY` has them. Like compiled code it may
    be missing, of another version or not writable, and is then made without.
    """

    _known: dict[str, Summary] | None = None
    changed = False

    @classmethod
    def known(cls) -> dict[str, Summary]:
        if cls._known is None:
            cls._known = {}
            with suppress(OSError, ValueError, TypeError, AttributeError, KeyError):
                saved = json.loads(MEMORY.read_text(encoding="utf-8"))
                if saved["by"] == _version():
                    entries = saved["sources"].items()
                    cls._known = {key: (text, tuple(names)) for key, (text, names) in entries}
        return cls._known

    @classmethod
    def save(cls) -> None:
        """Keep what is new, whole or not at all, for the processes that come after."""
        if not cls.changed or sys.dont_write_bytecode:
            return
        cls.changed = False
        if len(cls.known()) > FORGOTTEN:
            cls.known().clear()
        with suppress(OSError):
            MEMORY.parent.mkdir(exist_ok=True)
            write_json(MEMORY, {"by": _version(), "sources": cls.known()})


@cache
def _version() -> str:
    """Of how sources are read: the digest of this file."""
    return _sha256(Path(__file__).read_text(encoding="utf-8"))


def documented(tree: ast.Module) -> Iterator[ast.Module | ast.ClassDef | ast.FunctionDef]:
    """The nodes of a tree whose first statement is a docstring."""
    return (
        node for node in ast.walk(tree) if isinstance(node, DOCUMENTED) and _is_documented(node)
    )


def _is_documented(node: ast.Module | ast.ClassDef | ast.FunctionDef) -> bool:
    return ast.get_docstring(node, clean=False) is not None


def _write(node: ast.AST, text: list[str], names: list[str]) -> None:
    """A tree as text: names of nodes, and those of their fields that hold something. Fields that a
    later Python adds are empty for code that does not use them.
    """
    kind = type(node)
    if kind in IMPORTS:
        names += _imported_by(node)
    before = f"{kind.__name__}("
    for name in kind._fields:
        value = getattr(node, name, None)
        if name == "body" and kind in DOCUMENTED and _is_documented(node):
            value = value[1:]
        if value is None or value == []:
            continue
        text.append(f"{before}{name}=")
        before = ","
        if isinstance(value, list):
            _write_list(value, text, names)
        elif isinstance(value, ast.AST):
            _write(value, text, names)
        else:
            text.append(repr(value))
    text.append(")" if before == "," else f"{before})")


def _write_list(items: list, text: list[str], names: list[str]) -> None:
    before = "["
    for item in items:
        text.append(before)
        before = ","
        if isinstance(item, ast.AST):
            _write(item, text, names)
        else:  # a name, or nothing: {**others}
            text.append(repr(item))
    text.append("]")


def _imported_by(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if node.level:
        return []
    return [*(f"{node.module}.{alias.name}" for alias in node.names), node.module or ""]


def module_tree(module: str) -> ast.Module:
    """The syntax tree of one of the package's own modules."""
    return ast.parse(_file(module).read_text(encoding="utf-8"))


@cache
def _files_of(module: str) -> Sources:
    """A module's own file and the files beside it that bear its name."""
    path = _file(module)
    beside = [
        p
        for p in path.parent.glob(f"{path.stem}.*")
        if not p.name.startswith(path.name) and p.suffix != ".pyc"  # lwm.py~, lwm.py.orig
    ]
    return {
        f"{PACKAGE}/{file.relative_to(ROOT).as_posix()}": file.read_text(encoding="utf-8")
        for file in (path, *beside)
    }


def _file(module: str) -> Path:
    path = ROOT.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _is_ours(name: str) -> bool:
    return (name == PACKAGE or name.startswith(f"{PACKAGE}.")) and _file(name).is_file()

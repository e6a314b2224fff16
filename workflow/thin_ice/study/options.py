"""The options of a table entry, read from its source.

An entry's class is a dataclass whose fields are what a study may set. A study must be checked
before anything runs and without importing torch (seconds, in every Snakemake process), so names,
types and defaults are read from the syntax tree of the module instead.
"""

import ast
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from thin_ice.provenance.fingerprint import module_tree
from thin_ice.tables import TABLES

NO_DEFAULT = object()


@dataclass(frozen=True)
class Option:
    """One field: its type as written in the source, and its default."""

    name: str
    annotation: ast.expr
    default: Any

    @property
    def allowed(self) -> str:
        """The type in words."""
        return _in_words(self.annotation)

    def convert(self, value: Any) -> Any:
        """The value as the option's type. Raises ValueError where it does not fit."""
        return _convert(value, self.annotation)


@dataclass(frozen=True)
class Entry:
    """What the source says of a table entry: options, and the class variables that are literals."""

    module: str
    options: dict[str, Option]
    constants: dict[str, Any]


@cache
def entry(table: str, kind: str) -> Entry:
    """Read an entry of `thin_ice.tables`. Raises KeyError where there is none."""
    return read_class(*TABLES[table][kind].split(":"))


def read_class(module: str, name: str) -> Entry:
    """Fields and class variables of a dataclass, from the source of its module."""
    (body,) = (n.body for n in module_tree(module).body if _is_class(n, name))
    fields = [node for node in body if isinstance(node, ast.AnnAssign)]
    constants = {f.target.id: _literal(f.value) for f in fields if _is_class_variable(f)}
    options = [
        Option(f.target.id, f.annotation, NO_DEFAULT if f.value is None else _literal(f.value))
        for f in fields
        if not _is_class_variable(f)
    ]
    return Entry(module, {option.name: option for option in options}, constants)


def fraction(text: str) -> float:
    """``8/255`` as a number."""
    above, slash, below = text.partition("/")
    if not slash:
        raise ValueError(text)
    return float(above) / float(below)


def _is_class(node: ast.stmt, name: str) -> bool:
    return isinstance(node, ast.ClassDef) and node.name == name


def _is_class_variable(field: ast.AnnAssign) -> bool:
    return ast.unparse(field.annotation).startswith("ClassVar")


def _literal(node: ast.expr) -> Any:
    """A literal, or a quotient of literals such as ``1 / 3``, possibly inside a container."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        return _literal(node.left) / _literal(node.right)
    if isinstance(node, ast.Tuple | ast.List):
        return [_literal(item) for item in node.elts]
    if isinstance(node, ast.Dict):
        return {_literal(k): _literal(v) for k, v in zip(node.keys, node.values, strict=True)}
    return ast.literal_eval(node)


def _convert(value: Any, annotation: ast.expr) -> Any:
    if isinstance(annotation, ast.BinOp):  # X | None
        return None if value is None else _convert(value, annotation.left)
    if isinstance(annotation, ast.Name):
        return CONVERTERS[annotation.id](value)
    if isinstance(annotation, ast.Subscript) and annotation.value.id == "Literal":
        return _choice(value, _literal(annotation.slice))
    if isinstance(annotation, ast.Subscript) and isinstance(value, list | tuple):  # tuple[X, ...]
        return [_convert(item, annotation.slice.elts[0]) for item in value]
    raise ValueError(value)


def _choice(value: Any, choices: Any) -> Any:
    if value not in (choices if isinstance(choices, list) else [choices]):
        raise ValueError(value)
    return value


def _float(value: Any) -> float:
    if isinstance(value, str):
        return fraction(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(value)
    return float(value)


def _exactly(kind: type) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        if type(value) is not kind:
            raise ValueError(value)
        return value

    return convert


CONVERTERS = {"float": _float, "int": _exactly(int), "bool": _exactly(bool), "str": _exactly(str)}
WORDS = {
    "float": "a number or a fraction such as 8/255",
    "int": "a whole number",
    "bool": "true or false",
    "str": "text",
}


def _in_words(annotation: ast.expr) -> str:
    if isinstance(annotation, ast.BinOp):
        return f"{_in_words(annotation.left)}, or null"
    if isinstance(annotation, ast.Name):
        return WORDS[annotation.id]
    if annotation.value.id == "Literal":
        choices = _literal(annotation.slice)
        return ", ".join(map(str, choices if isinstance(choices, list) else [choices]))
    return f"a list, each {_in_words(annotation.slice.elts[0])}"

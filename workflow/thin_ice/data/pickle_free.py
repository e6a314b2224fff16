"""The values in a pickle, without unpickling it.

A pickle is a program, and unpickling runs it: it may import and call anything. This project never
does that. Here the program's text is read with ``pickletools.genops``, which executes nothing, and
a small interpreter rebuilds inert values only: dict, list, tuple, str, bytes, int, bool and None.
Where the program names a function or calls one, the result is a record that says so; nothing is
imported and nothing is called. Only the operations in the table below are understood: those of
plain data and numpy arrays up to protocol 4. A Python-2 string comes out as bytes.
"""

import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


class UnreadablePickle(ValueError):
    """The pickle is damaged, uses an operation not known here, or holds something else."""


@dataclass(frozen=True)
class GlobalName:
    """Stands for what a pickle would import: ``"module name"``."""

    text: str


@dataclass(eq=False)
class InertCall:
    """Stands for what a pickle would make by a call, and the state it would set on the result."""

    function: Any
    arguments: Any
    state: Any = None


_MARK = object()


@dataclass
class _Machine:
    stack: list = field(default_factory=list)
    memo: dict = field(default_factory=dict)

    def pop(self, kind: type | tuple[type, ...] = object) -> Any:
        value = self.stack.pop()
        if value is _MARK or not isinstance(value, kind):
            raise ValueError(f"the stack holds a {type(value).__name__} in the wrong place")
        return value

    def pop_many(self, count: int) -> list:
        return [self.pop() for _ in range(count)][::-1]

    def pop_to_mark(self) -> list:
        values = []
        while (value := self.stack.pop()) is not _MARK:
            values.append(value)
        return values[::-1]


def _append(machine: _Machine, values: list) -> None:
    target = machine.pop(list)
    target.extend(values)
    machine.stack.append(target)


def _set_items(machine: _Machine, values: list) -> None:
    target = machine.pop(dict)
    for key, value in zip(values[::2], values[1::2], strict=True):
        if not isinstance(key, str | bytes | int):
            raise ValueError(f"a dict key is a {type(key).__name__}")
        target[key] = value
    machine.stack.append(target)


def _remember(machine: _Machine, key: int) -> None:
    machine.memo[key] = machine.stack[-1]


def _name_from_stack(machine: _Machine) -> None:
    name, module = machine.pop(str), machine.pop(str)
    machine.stack.append(GlobalName(f"{module} {name}"))


def _call(machine: _Machine) -> None:
    arguments = machine.pop(tuple)
    machine.stack.append(InertCall(machine.pop(), arguments))


def _build(machine: _Machine) -> None:
    state = machine.pop()
    target = machine.pop(InertCall)
    target.state = state
    machine.stack.append(target)


def _pushes(make: Callable[[_Machine, Any], Any]) -> Callable[[_Machine, Any], None]:
    """The operation that puts ``make(machine, argument)`` on the stack."""
    return lambda machine, argument: machine.stack.append(make(machine, argument))


_LITERALS = (
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
)
_PYTHON2_STRINGS = ("STRING", "BINSTRING", "SHORT_BINSTRING")  # genops gives a character a byte

_OPERATIONS: dict[str, Callable[[_Machine, Any], None]] = {
    **dict.fromkeys(_LITERALS, _pushes(lambda machine, value: value)),
    **dict.fromkeys(_PYTHON2_STRINGS, _pushes(lambda machine, value: value.encode("latin-1"))),
    **dict.fromkeys(("PROTO", "FRAME"), lambda machine, _: None),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _remember),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _pushes(lambda m, key: m.memo[key])),
    "MEMOIZE": lambda machine, _: _remember(machine, len(machine.memo)),
    "MARK": _pushes(lambda machine, _: _MARK),
    "NONE": _pushes(lambda machine, _: None),
    "NEWTRUE": _pushes(lambda machine, _: True),
    "NEWFALSE": _pushes(lambda machine, _: False),
    "EMPTY_DICT": _pushes(lambda machine, _: {}),
    "EMPTY_LIST": _pushes(lambda machine, _: []),
    "EMPTY_TUPLE": _pushes(lambda machine, _: ()),
    "LIST": _pushes(lambda machine, _: machine.pop_to_mark()),
    "TUPLE": _pushes(lambda machine, _: tuple(machine.pop_to_mark())),
    "TUPLE1": _pushes(lambda machine, _: tuple(machine.pop_many(1))),
    "TUPLE2": _pushes(lambda machine, _: tuple(machine.pop_many(2))),
    "TUPLE3": _pushes(lambda machine, _: tuple(machine.pop_many(3))),
    "APPEND": lambda machine, _: _append(machine, machine.pop_many(1)),
    "APPENDS": lambda machine, _: _append(machine, machine.pop_to_mark()),
    "SETITEM": lambda machine, _: _set_items(machine, machine.pop_many(2)),
    "SETITEMS": lambda machine, _: _set_items(machine, machine.pop_to_mark()),
    "GLOBAL": _pushes(lambda machine, text: GlobalName(text)),
    "STACK_GLOBAL": lambda machine, _: _name_from_stack(machine),
    "REDUCE": lambda machine, _: _call(machine),
    "BUILD": lambda machine, _: _build(machine),
}


def rebuild(content: bytes) -> Any:
    """The inert values that a pickle describes, calls and imports as records.

    Raises:
        UnreadablePickle: the pickle is damaged, or uses an operation that is not in the table.
    """
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(content):
            if opcode.name != "STOP":
                _operation(opcode.name)(machine, argument)
        return machine.pop()
    except (LookupError, ValueError) as error:
        raise UnreadablePickle(f"a pickle that is not plain data, or damaged: {error}") from error


def _operation(name: str) -> Callable[[_Machine, Any], None]:
    if name not in _OPERATIONS:
        raise ValueError(f"operation {name} is not allowed")
    return _OPERATIONS[name]

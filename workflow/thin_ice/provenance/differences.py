"""What differs between two values or two sources, leaf by leaf and line by line."""

import ast
import difflib
import io
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from thin_ice.provenance.fingerprint import documented

ABSENT = "(absent)"
NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
NO_CODE |= {tokenize.ENCODING, tokenize.ENDMARKER}


@dataclass(frozen=True)
class Change:
    """One difference: what (a key such as ``threat.eps``, or a file and line), old and new."""

    what: str
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.what}: {self.old} -> {self.new}"


def changed_keys(old: Any, new: Any, key: str = "") -> list[Change]:
    """The leaves in which two trees of mappings and lists differ."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        names = [*old, *(name for name in new if name not in old)]
        return _below(((n, old.get(n, ABSENT), new.get(n, ABSENT)) for n in names), key)
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return _below(((str(i), a, b) for i, (a, b) in enumerate(zip(old, new, strict=True))), key)
    if isinstance(old, list) and isinstance(new, list) and (changes := _items(old, new, key)):
        return changes
    same = old == new and type(old) is type(new)
    return [] if same else [Change(key, old, new)]


def _items(old: list, new: list, key: str) -> list[Change]:
    """Lists of different lengths differ by the items that one has and the other has not."""
    removed = [Change(key, item, ABSENT) for item in old if item not in new]
    return removed + [Change(key, ABSENT, item) for item in new if item not in old]


def _below(children: Iterator[tuple[str, Any, Any]], key: str) -> list[Change]:
    return [
        change
        for name, old, new in children
        for change in changed_keys(old, new, f"{key}.{name}" if key else name)
    ]


def changed_lines(file: str, old: str, new: str) -> list[Change]:
    """The lines of code in which two versions of a file differ, comments and docstrings apart.

    A line is named by its number in the new version, or in the old one where it was removed.
    """
    read = _lines_of_code if file.endswith(".py") else _lines
    before, after = read(old), read(new)
    matcher = difflib.SequenceMatcher(
        None, [text for _, text in before], [text for _, text in after], autojunk=False
    )
    changes: list[Change] = []
    for kind, i, j, k, m in matcher.get_opcodes():
        if kind != "equal":
            changes += _replaced(file, before[i:j], after[k:m])
    return changes


def _replaced(file: str, old: list, new: list) -> list[Change]:
    """Pair the lines of a replaced block in order; what is left over was added or removed."""
    changes = [
        Change(f"{file}:{number}", was, now)
        for (_, was), (number, now) in zip(old, new, strict=False)
    ]
    changes += [Change(f"{file}:{number}", was, ABSENT) for number, was in old[len(new) :]]
    changes += [Change(f"{file}:{number}", ABSENT, now) for number, now in new[len(old) :]]
    return changes


def _lines(source: str) -> list[tuple[int, str]]:
    return list(enumerate(source.splitlines(), start=1))


def _lines_of_code(source: str) -> list[tuple[int, str]]:
    """Numbered lines with code on them, without comments and docstrings."""
    prose = _docstring_lines(source)
    words: dict[int, int] = {}  # line to the column where its code ends
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in NO_CODE:
            for number in range(token.start[0], token.end[0] + 1):
                end = token.end[1] if number == token.end[0] else None
                words[number] = max(words.get(number, 0), end or len(source))
    lines = source.splitlines()
    return [(n, lines[n - 1][:end].rstrip()) for n, end in words.items() if n not in prose]


def _docstring_lines(source: str) -> set[int]:
    strings = (node.body[0] for node in documented(ast.parse(source)))
    return {line for text in strings for line in range(text.lineno, text.end_lineno + 1)}

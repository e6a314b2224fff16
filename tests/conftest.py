"""What all tests share."""

import copy
from collections.abc import Callable

import pytest
from miniature import MINIATURE


@pytest.fixture
def miniature() -> dict:
    """A study as a person writes it; a test may change it."""
    return copy.deepcopy(MINIATURE)


@pytest.fixture
def altered(miniature: dict) -> Callable[[str, object], dict]:
    """The miniature study with one value set (or removed, by ...), e.g. ``threat.eps``."""

    def alter(key: str, value: object) -> dict:
        *parents, last = key.split(".")
        node = miniature
        for parent in parents:
            node = node.setdefault(parent, {})
        if value is ...:
            del node[last]
        else:
            node[last] = value
        return miniature

    return alter

"""What all tests share: a miniature study on digits that runs in seconds."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]

MINIATURE = {
    "name": "miniature",
    "seeds": [0, 1],
    "threat": {"norm": "Linf", "eps": 0.1},
    "datasets": {"digits": {"validation": 0.2, "limit_train": 300, "limit_test": 60}},
    "models": {"digits_cnn": {"width": 4}},
    "objectives": {"pgd_at": {"steps": 2}},
    "training": {
        "dense": {"epochs": 3, "lr": 0.05},
        "prune": {"epochs": 2},
        "finetune": {"epochs": 2},
    },
    "methods": {"lwm": {}, "hydra": {}, "radmm": {"layers": "all", "periods": 2}},
    "sparsities": [0.9],
    "autoattack": {
        "version": "custom",
        "attacks": ["apgd-ce", "square"],
        "square_queries": 20,
        "batch_size": 40,
        "shard_size": 40,
    },
    "distances": [
        {"norm": "Linf", "steps": 10, "max_stepsize": 1},
        {"norm": "L2", "steps": 10, "max_stepsize": 1},
    ],
    "analysis": {"bootstrap": 50},
}


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

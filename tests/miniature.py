"""A miniature study on digits that runs in seconds, as a person writes it."""

from pathlib import Path

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
    "distances": {
        "attacks": [
            {"kind": "fmn", "norm": "Linf", "steps": 10, "max_stepsize": 1},
            {"kind": "fmn", "norm": "L2", "steps": 10, "max_stepsize": 1},
        ]
    },
    "certification": {"bounds": ["ibp"], "rounds": 2},
    "breaking": {"rounds": 1},
    "twins": 3,
    "indicators": {"samples": 20, "points": 5},
    "analysis": {"bootstrap": 50},
}


def set_key(study: dict, key: str, value: object) -> None:
    """Set a key of a study by its dotted name, ``threat.eps``; ``...`` removes it."""
    *parents, last = key.split(".")
    for parent in parents:
        study = study.setdefault(parent, {})
    if value is ...:
        del study[last]
    else:
        study[last] = value

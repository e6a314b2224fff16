"""From what a person wrote to the resolved study: every default filled in, every number a number.

The resolved study is plain data and says everything; it is saved beside the results, and resolving
it again changes nothing. Entries stand in the order of their labels, whatever order they were
written in, so that order is no parameter of any job.
"""

from collections.abc import Mapping
from typing import Any

from thin_ice.study.options import NO_DEFAULT, Entry, entry, fraction, read_class
from thin_ice.study.schema import BadStudy
from thin_ice.tables import TABLES

PLAN = ("thin_ice.training.plan", "Plan")

DATASET_KEYS = {"validation": 0.1, "partition_seed": 0, "limit_train": None, "limit_test": None}
MODEL_KEYS = {"normalize": False}
AUTOATTACK = {"version": "standard", "seed": 0, "batch_size": 500, "shard_size": 1000}
CUSTOM_AUTOATTACK = {
    "apgd_restarts": 1,
    "eot_iterations": 1,
    "targets": 9,
    "fab_restarts": 1,
    "square_queries": 5000,
}
DISTANCES = [
    {"norm": "Linf", "steps": 1000, "max_stepsize": 1.0},
    {"norm": "Linf", "steps": 1000, "max_stepsize": 10.0},
    {"norm": "Linf", "steps": 1000, "max_stepsize": 100.0},
    {"norm": "L2", "steps": 1000, "max_stepsize": 1.0},
    {"norm": "L2", "steps": 1000, "max_stepsize": 10.0},
]
ANALYSIS = {"bootstrap": 2000, "seed": 0}
RESOURCES = {"threads": 1, "mem_mb": 8000, "train_minutes": 240, "attack_minutes": 240}

Tree = dict[str, Any]


def resolve(raw: Mapping[str, Any]) -> Tree:
    """The resolved study. ``raw`` has passed the schema.

    Raises:
        BadStudy: an unknown kind or option, or an option of the wrong type.
    """
    study = {key: raw[key] for key in ("name", "seeds", "sparsities")}
    study["threat"] = {"norm": raw["threat"]["norm"], "eps": _eps(raw["threat"]["eps"])}
    study["datasets"] = _entries(raw, "datasets", "datasets", DATASET_KEYS)
    study["models"] = _entries(raw, "models", "architectures", MODEL_KEYS)
    study["objectives"] = _entries(raw, "objectives", "objectives", {})
    training = raw.get("training", {})
    study["training"] = {"dense": _plan({}, training.get("dense", {}), "training.dense")}
    study["methods"] = {
        label: _method(label, options or {}, raw)
        for label, options in sorted(raw["methods"].items())
    }
    study["selection_on_test"] = raw.get("selection_on_test", False)
    study["autoattack"] = _autoattack(raw.get("autoattack", {}))
    runs = raw.get("distances", DISTANCES)
    study["distances"] = [run | {"max_stepsize": float(run["max_stepsize"])} for run in runs]
    study["analysis"] = ANALYSIS | raw.get("analysis", {})
    study["rerun_on_upgrade"] = sorted(raw.get("rerun_on_upgrade", []))
    study["resources"] = RESOURCES | raw.get("resources", {})
    return study


def _eps(value: float | str) -> float:
    try:
        return fraction(value) if isinstance(value, str) else float(value)
    except (ValueError, ZeroDivisionError):
        allowed = "a number, or a fraction such as 8/255"
        raise BadStudy("threat.eps", f"{value!r}; allowed: {allowed}") from None


def _entries(raw: Mapping, section: str, table: str, own_keys: Tree) -> Tree:
    return {
        label: _entry(f"{section}.{label}", table, label, options or {}, own_keys)
        for label, options in sorted(raw[section].items())
    }


def _entry(key: str, table: str, label: str, given: Mapping, own_keys: Tree) -> Tree:
    """One labelled entry: its kind, the keys the study itself knows, and the kind's options.

    Options stand beside the other keys, or under ``options`` as in a resolved study.
    """
    kind = given.get("kind", label)
    source = _source(key, table, kind)
    own = {name: given.get(name, default) for name, default in own_keys.items()}
    rest = {k: v for k, v in given.items() if k not in {*own_keys, "kind", "options"}}
    rest |= given.get("options") or {}
    return {"kind": kind, **own, "options": _options(key, source, rest, own_keys)}


def _source(key: str, table: str, kind: str) -> Entry:
    if kind not in TABLES[table]:
        known = ", ".join(TABLES[table])
        raise BadStudy(f"{key}.kind", f"unknown kind {kind!r}; allowed: {known}")
    return entry(table, kind)


def _options(key: str, source: Entry, given: Mapping, own_keys: Mapping) -> Tree:
    """All options of a class: what is given, converted and checked, and defaults for the rest."""
    for name in given:
        if name not in source.options:
            known = ", ".join([*own_keys, *source.options]) or "none"
            raise BadStudy(f"{key}.{name}", f"unknown key; allowed: {known}")
    resolved: Tree = {}
    for name, option in source.options.items():
        value = given.get(name, option.default)
        if value is NO_DEFAULT:
            raise BadStudy(f"{key}.{name}", f"is missing; allowed: {option.allowed}")
        try:
            resolved[name] = option.convert(value)
        except (ValueError, ZeroDivisionError):
            raise BadStudy(f"{key}.{name}", f"{value!r}; allowed: {option.allowed}") from None
    return resolved


def _plan(published: Mapping, given: Mapping, key: str) -> Tree:
    """A stage's plan: the defaults, then the method's published plan, then the study's words."""
    return _options(key, read_class(*PLAN), {**published, **given}, {})


def _method(label: str, given: Mapping, raw: Mapping) -> Tree:
    key, kind = f"methods.{label}", given.get("kind", label)
    constants = _source(key, "methods", kind).constants
    own = {
        "unit": "weight",
        "claimed": constants["claimed"],
        "objectives": sorted(raw["objectives"]),
        "sparsities": raw["sparsities"],
    }
    plans = {"prune": {}, "finetune": {}}
    resolved = _entry(key, "methods", label, given, own | plans)
    for stage in plans:
        published = constants[f"{stage}_plan"]
        words = raw.get("training", {}).get(stage, {}) | given.get(stage, {})
        if not published.get("epochs", 1):
            words = words | {"epochs": 0}  # a one-shot method trains nothing while it prunes
        resolved[stage] = _plan(published, words, f"{key}.{stage}")
    return resolved


def _autoattack(given: Mapping) -> Tree:
    resolved = AUTOATTACK | dict(given)
    if resolved["version"] == "custom":
        if "attacks" not in resolved:
            raise BadStudy("autoattack.attacks", "is missing; version custom needs a list")
        return CUSTOM_AUTOATTACK | resolved
    for name in ("attacks", *CUSTOM_AUTOATTACK):
        if name in given:
            raise BadStudy(f"autoattack.{name}", "is set by the version; use version: custom")
    return resolved

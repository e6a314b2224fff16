"""From what a person wrote to the resolved study: every default filled in, every number a number.

The resolved study is plain data and says everything; it is saved beside the results, and resolving
it again changes nothing. Entries stand in the order of their labels, whatever order they were
written in, so that order is no parameter of any job.
"""

from collections.abc import Mapping
from typing import Any

from thin_ice.attacks.distance_budgets import BUDGETS, column
from thin_ice.attacks.versions import version_settings
from thin_ice.speed import Speed
from thin_ice.study.options import NO_DEFAULT, Entry, entry, fraction, read_class
from thin_ice.study.pipelines import STAGES, shared_with_dense
from thin_ice.study.schema import BadStudy
from thin_ice.tables import TABLES

PLAN = ("thin_ice.training.plan", "Plan")

DATASET_KEYS = {
    "validation": 0.1,
    "partition_seed": 0,
    "limit_train": None,
    "limit_test": None,
    "extra": None,
}
OBJECTIVE_KEYS: dict[str, Any] = {"training": {}}
MODEL_KEYS = {"normalize": False, "checkpoint": None, "only_evaluate": False}
CHECKPOINT = {
    "file": None,
    "package": None,
    "path": None,
    "entry_point": None,
    "under": None,
    "keys": {},
    "mean": None,
    "std": None,
    "sha256": None,
}
AUTOATTACK = {
    "version": "standard",
    "seed": 0,
    "batch_size": 500,
    "shard_size": 1000,
    "keep_examples": True,
}
# Of the dense network's fine-tuning, which is no method's: Sehwag et al. 2020, as LWM and HYDRA.
FINETUNE = {"epochs": 100, "lr": 0.01, "schedule": "cosine_per_epoch"}
BOUNDS = ("ibp", "crown_ibp", "crown")
CERTIFICATION = {"bounds": ["ibp", "crown_ibp"], "rounds": 10, "smoothing": None}
# Cohen et al. 2019 draw 100 and 100,000 times; a hundredth of that says as much up to 2.3 sigma.
SMOOTHING = {"n0": 100, "n": 1000, "alpha": 0.001, "seed": 0}
RIVALS = {"steps": 10, "seed": 0}
BREAKING = {"rounds": 3}
TWINS = 8
INDICATORS = {"samples": 100, "points": 100, "seed": 0}
ANALYSIS = {"bootstrap": 2000, "seed": 0}
RESOURCES = {"threads": 1, "mem_mb": 8000, "gflops": 2000, "scratch": None, "warm_start": True}

Tree = dict[str, Any]


def resolve(raw: Mapping[str, Any]) -> Tree:
    """The resolved study. ``raw`` has passed the schema.

    Raises:
        BadStudy: an unknown kind or option, or an option of the wrong type.
    """
    study = {key: raw[key] for key in ("name", "seeds")}
    study["sparsities"] = raw.get("sparsities", [])
    eps = _eps("threat.eps", raw["threat"]["eps"])
    study["threat"] = {"norm": raw["threat"]["norm"], "eps": eps}
    study["datasets"] = _entries(raw, "datasets", "datasets", DATASET_KEYS)
    study["models"] = _entries(raw, "models", "architectures", MODEL_KEYS)
    for model in study["models"].values():
        if model["checkpoint"] is not None:
            model["checkpoint"] = CHECKPOINT | model["checkpoint"]
    study["objectives"] = {
        label: _objective(f"objectives.{label}", label, options or {})
        for label, options in sorted(raw.get("objectives", {}).items())
    }
    training = raw.get("training", {})
    study["training"] = {"dense": _plan({}, training.get("dense", {}), "training.dense")}
    study["methods"] = {
        label: _method(label, options or {}, raw)
        for label, options in sorted(raw.get("methods", {}).items())
    }
    study |= _dense_again(raw, study)
    study["speed"] = vars(Speed()) | raw.get("speed", {})
    study["selection_on_test"] = raw.get("selection_on_test", False)
    study["autoattack"] = _autoattack(raw.get("autoattack", {}), study["threat"]["norm"])
    study["distances"] = _distances(raw.get("distances", {}), study["threat"]["norm"])
    study["certification"] = _certification(raw.get("certification"), study["threat"]["eps"])
    study["breaking"] = BREAKING | raw.get("breaking", {})
    study["twins"] = raw.get("twins", TWINS)
    study["indicators"] = INDICATORS | raw.get("indicators", {})
    study["rivals"] = RIVALS | raw.get("rivals", {})
    study["analysis"] = ANALYSIS | raw.get("analysis", {})
    study["rerun_on_upgrade"] = sorted(raw.get("rerun_on_upgrade", []))
    study["resources"] = RESOURCES | raw.get("resources", {})
    return study


def _eps(key: str, value: float | str) -> float:
    try:
        return fraction(value) if isinstance(value, str) else float(value)
    except (ValueError, ZeroDivisionError):
        allowed = "a number, or a fraction such as 8/255"
        raise BadStudy(key, f"{value!r}; allowed: {allowed}") from None


def _entries(raw: Mapping, section: str, table: str, own_keys: Tree) -> Tree:
    return {
        label: _entry(f"{section}.{label}", table, label, options or {}, own_keys)
        for label, options in sorted(raw.get(section, {}).items())
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


def _words(given: Mapping, key: str) -> Tree:
    """What an objective's networks are trained with instead: of each stage's plan the keys that are
    given, checked and converted.
    """
    stages = ((stage, words or {}) for stage, words in sorted(given.items()))
    plans = {stage: (words, _plan({}, words, f"{key}.{stage}")) for stage, words in stages}
    return {stage: {name: plan[name] for name in words} for stage, (words, plan) in plans.items()}


def _method(label: str, given: Mapping, raw: Mapping) -> Tree:
    key, kind = f"methods.{label}", given.get("kind", label)
    constants = _source(key, "methods", kind).constants
    own = {
        "unit": constants["units"][0],
        "claimed": constants["claimed"],
        "objectives": sorted(raw.get("objectives", {})),
        "sparsities": raw.get("sparsities", []),
        "seeds": raw["seeds"],
    }
    stages = STAGES[constants["pipeline"]]
    own |= {stage: {} for stage in stages}
    own |= {f"{stage}_objective": constants.get(f"{stage}_objective") for stage in stages}
    resolved = _entry(key, "methods", label, given, own)
    for stage in stages:
        objective = resolved[f"{stage}_objective"]
        resolved[f"{stage}_objective"] = _own_objective(f"{key}.{stage}_objective", objective, raw)
        published = constants[f"{stage}_plan"]
        training = raw.get("training", {})
        words = shared_with_dense(stage, training.get("dense", {})) | training.get(stage, {})
        words |= given.get(stage, {})
        if not published.get("epochs", 1):  # a one-shot method trains nothing while it prunes
            if asked := given.get(stage, {}).get("epochs"):
                allowed = f"0, {kind} trains nothing in this stage"
                raise BadStudy(f"{key}.{stage}.epochs", f"{asked}; allowed: {allowed}")
            words |= {"epochs": 0}
        resolved[stage] = _plan(published, words, f"{key}.{stage}")
    return resolved


def _objective(key: str, label: str, given: Mapping) -> Tree:
    """An objective, with what its networks are trained with instead."""
    resolved = _entry(key, "objectives", label, given, OBJECTIVE_KEYS)
    resolved["training"] = _words(resolved["training"], f"{key}.training")
    return resolved


def _own_objective(key: str, given: Mapping | str | None, raw: Mapping) -> Tree | None:
    """The objective that a method prunes or fine-tunes with, one of the study's by its label or one
    spelled out; None for the run's own.
    """
    if not isinstance(given, str):
        return _objective(key, "", given) if given else None
    labels = raw.get("objectives", {})
    if given not in labels:
        allowed = f"{', '.join(sorted(labels))}, or one spelled out with its kind"
        raise BadStudy(key, f"no objective {given!r} in this study; allowed: {allowed}")
    return _objective(f"objectives.{given}", given, labels[given] or {})


def _dense_again(raw: Mapping, study: Tree) -> Tree:
    """Whether dense networks are fine-tuned once more, and then by which plan: by default where
    networks that are trained here are pruned and fine-tuned.
    """
    plan = _plan(FINETUNE, raw.get("training", {}).get("finetune", {}), "training.finetune")
    trained = any(model["checkpoint"] is None for model in study["models"].values())
    default = bool(study["methods"]) and trained and plan["epochs"] > 0
    if not raw.get("dense_again", default):
        return {"dense_again": False}
    return {"dense_again": True, "training": study["training"] | {"finetune": plan}}


def _autoattack(given: Mapping, norm: str) -> Tree:
    """Version custom has the budgets of standard, in the study's norm, for what it leaves out."""
    resolved = AUTOATTACK | dict(given)
    budgets = {k: v for k, v in vars(version_settings("standard", norm)).items() if k != "attacks"}
    if resolved["version"] == "custom":
        if "attacks" not in resolved:
            raise BadStudy("autoattack.attacks", "is missing; version custom needs a list")
        return budgets | resolved
    for name in ("attacks", *budgets):
        if name in given:
            raise BadStudy(f"autoattack.{name}", "is set by the version; use version: custom")
    return resolved


def _certification(given: Mapping | None, eps: float) -> Tree | None:
    """What is certified, bounds from the cheapest to the dearest; None where nothing is."""
    if given is None:
        return None
    resolved = {"eps": eps} | CERTIFICATION | dict(given)
    resolved["eps"] = _eps("certification.eps", resolved["eps"])
    resolved["bounds"] = sorted(resolved["bounds"], key=BOUNDS.index)
    if resolved["smoothing"] is not None:
        resolved["smoothing"] = SMOOTHING | resolved["smoothing"]
    return resolved


def _distances(given: Mapping, threat_norm: str) -> Tree:
    """The attacks spelled out: those given, or a budget's members in each norm."""
    if "attacks" in given and len(given) > 1:
        raise BadStudy("distances", "has attacks beside norms or budget; allowed: one or the other")
    budget = BUDGETS[given.get("budget", "thorough")]
    norms = given.get("norms", sorted({"Linf", "L2", threat_norm}))
    members = [member | {"norm": norm} for norm in norms for member in budget[norm]]
    attacks = [
        _entry(f"distances.attacks.{index}", "distance_attacks", "", one, {"norm": None})
        for index, one in enumerate(given.get("attacks", members))
    ]
    return {"attacks": sorted(attacks, key=column)}

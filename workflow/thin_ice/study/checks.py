"""The checks that a schema cannot make, on a resolved study."""

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from thin_ice import outside, tables
from thin_ice.attacks.distance_budgets import column
from thin_ice.attacks.protocols import PROTOCOLS
from thin_ice.data import extra
from thin_ice.study.options import entry
from thin_ice.study.pipelines import STAGES
from thin_ice.study.plan import AS_IT_CAME, DENSE, DENSE_AGAIN, pipeline_of, written
from thin_ice.study.schema import BadStudy

Tree = dict[str, Any]

RESERVED_STUDIES = ("reference", "slurm_logs")  # folders of results/ that are no study's
SECOND_SEED = "second_seed"  # the method column of control pairs in the thin-ice table


def check(study: Tree, with_data: bool = True) -> None:
    """Raise `BadStudy` for the first thing that would make the study fail or mean nothing.

    ``with_data``: its datasets have to be on this machine.
    """
    for one in (*CHECKS, *([_presence] if with_data else [])):
        one(study)


def _names(study: Tree) -> None:
    """Names that mean something else in the results folder or in the tables."""
    if study["name"] in RESERVED_STUDIES:
        raise BadStudy("name", f"{study['name']!r} is taken; allowed: any other")
    for label in study["methods"]:
        if label in (DENSE, DENSE_AGAIN, SECOND_SEED):
            raise BadStudy(f"methods.{label}", f"the label {label!r} is taken; allowed: any other")
    if AS_IT_CAME in study["objectives"]:
        raise BadStudy(f"objectives.{AS_IT_CAME}", "the label is taken; allowed: any other")


def _eps(study: Tree) -> None:
    radii = {"threat.eps": study["threat"]["eps"]}
    if study["certification"] is not None:
        radii["certification.eps"] = study["certification"]["eps"]
    for key, eps in radii.items():
        if eps <= 0:
            raise BadStudy(key, f"{eps:g}; allowed: more than 0")
        if study["threat"]["norm"] == "Linf" and eps >= 1:
            raise BadStudy(
                key,
                f"{eps:g} covers the whole [0, 1] scale of images; allowed: less than 1 "
                f"(for {eps:g} grey levels write {eps:g}/255)",
            )


def _large_repetitions(study: Tree) -> None:
    """APGD comes down from larger balls in L1 only; in another norm the package stops the job."""
    norm = study["threat"]["norm"]
    if study["autoattack"].get("large_repetitions") and norm != "L1":
        raise BadStudy("autoattack.large_repetitions", f"true under {norm}; allowed: only under L1")


def _sparsities(study: Tree) -> None:
    """A sparsity names a folder, and must be read back from the name as it was."""
    for label, method in study["methods"].items():
        if not method["sparsities"]:
            key = f"methods.{label}.sparsities"
            raise BadStudy(key, "[]; allowed: a list of at least 1, here or for all methods")
        for sparsity in method["sparsities"]:
            if float(written(sparsity)) != sparsity:
                key = f"methods.{label}.sparsities"
                raise BadStudy(key, f"{sparsity!r}; allowed: at most ten decimals")


def _scratch(study: Tree) -> None:
    """A node's own disk does not lie below the folder that Snakemake runs in."""
    scratch = study["resources"]["scratch"]
    if scratch is not None and not scratch.startswith(("/", "$")):
        raise BadStudy(
            "resources.scratch",
            f"{scratch!r}; allowed: an absolute path, or one that begins with a variable ($TMPDIR)",
        )


def _dense_epochs(study: Tree) -> None:
    if study["training"]["dense"]["epochs"] < 1:
        raise BadStudy("training.dense.epochs", "0; allowed: 1 or more")
    for key, words in _words(study):
        if not words.get("epochs", 1):
            raise BadStudy(f"{key}.epochs", "0; allowed: 1 or more, a method alone trains nothing")


def _words(study: Tree) -> Iterator[tuple[str, Tree]]:
    """What the study's objectives train with instead, by the keys where it stands."""
    for label, objective in study["objectives"].items():
        for stage, words in objective["training"].items():
            yield f"objectives.{label}.training.{stage}", words


def _selection(study: Tree) -> None:
    """Checkpoints can only be chosen among epochs."""
    for label, method in study["methods"].items():
        stages = STAGES[pipeline_of(method["kind"])]
        # After training it is fine-tuning that is watched; otherwise whichever stage trains last.
        trains = [stage for stage in stages if method[stage]["epochs"] and stage != "prune"]
        if study["selection_on_test"] and not trains:
            raise BadStudy(
                "selection_on_test",
                f"true, but methods.{label}.{_deciding(stages)}.epochs is 0; allowed: false",
            )


def _deciding(stages: tuple[str, ...]) -> str:
    """The stage that would choose the checkpoint, if it trained: of ``prune``, fine-tuning."""
    return stages[-1] if stages[0] == "prune" else stages[0]


def _dense_again(study: Tree) -> None:
    """The control needs networks that are trained here and pruned, and epochs to change them."""
    if not study["dense_again"]:
        return
    reason = None
    if all(model["checkpoint"] is not None for model in study["models"].values()):
        reason = "every dense network comes from elsewhere"
    elif study["training"]["finetune"]["epochs"] < 1:
        reason = "training.finetune.epochs is 0"
    if reason:
        raise BadStudy("dense_again", f"true, but {reason}; allowed: false")


def _methods(study: Tree) -> None:
    trained = any(model["checkpoint"] is None for model in study["models"].values())
    for label, method in study["methods"].items():
        if not trained and (pipeline := pipeline_of(method["kind"])) != "after":
            raise BadStudy(
                f"methods.{label}",
                f"{method['kind']} prunes {pipeline} training, but every model comes from "
                "elsewhere; allowed: methods that prune after training",
            )
        units = entry("methods", method["kind"]).constants["units"]
        if method["unit"] not in units:
            raise BadStudy(
                f"methods.{label}.unit",
                f"{method['kind']} cannot prune by {method['unit']}; allowed: {', '.join(units)}",
            )
        if method["claimed"] not in PROTOCOLS:
            raise BadStudy(
                f"methods.{label}.claimed",
                f"unknown protocol {method['claimed']!r}; allowed: {', '.join(PROTOCOLS)}",
            )
        if other := [seed for seed in method["seeds"] if seed not in study["seeds"]]:
            raise BadStudy(
                f"methods.{label}.seeds",
                f"no seed {other[0]} in this study; allowed: {', '.join(map(str, study['seeds']))}",
            )
        for objective in method["objectives"]:
            if objective not in study["objectives"]:
                raise BadStudy(
                    f"methods.{label}.objectives",
                    f"no objective {objective!r} in this study; "
                    f"allowed: {', '.join(study['objectives'])}",
                )


def _limits(study: Tree) -> None:
    """Options of methods and objectives that are numbers with a meaning between limits only."""
    for label, method in study["methods"].items():
        _within(f"methods.{label}", "methods", method)
        for name in (f"{stage}_objective" for stage in STAGES[pipeline_of(method["kind"])]):
            if method[name]:
                _within(f"methods.{label}.{name}", "objectives", method[name])
    for label, objective in study["objectives"].items():
        _within(f"objectives.{label}", "objectives", objective)


def _within(key: str, table: str, given: Tree) -> None:
    """An entry's options, each between its ``limits``, or in its range, whose ends are allowed."""
    constants, options = entry(table, given["kind"]).constants, given["options"]
    for name, (above, below) in constants.get("limits", {}).items():
        value = options[name]
        if value is not None and not above < value < (math.inf if below is None else below):
            allowed = f"more than {above}" + (f" and less than {below}" if below else "")
            raise BadStudy(f"{key}.{name}", f"{value:g}; allowed: {allowed}")
    for name, (least, most) in constants.get("ranges", {}).items():
        if not least <= options[name] <= (math.inf if most is None else most):
            allowed = f"{least} or more" if most is None else f"{least} to {most}"
            raise BadStudy(f"{key}.{name}", f"{options[name]:g}; allowed: {allowed}")


def _teachers(study: Tree) -> None:
    """The first network has none to learn from."""
    for label, objective in study["objectives"].items():
        if entry("objectives", objective["kind"]).constants["teacher"]:
            raise BadStudy(
                f"objectives.{label}",
                f"{objective['kind']} learns from a dense network, so it cannot train one; "
                "allowed: as prune_objective or finetune_objective of a method",
            )
    for label, method in study["methods"].items():
        if (pipeline := pipeline_of(method["kind"])) != "after":
            for name in (f"{stage}_objective" for stage in STAGES[pipeline]):
                given = method[name]
                if given and entry("objectives", given["kind"]).constants["teacher"]:
                    raise BadStudy(
                        f"methods.{label}.{name}",
                        f"{given['kind']} learns from a dense network, and {method['kind']} prunes "
                        f"{pipeline} training, without one; allowed: any other objective",
                    )


def _trained(study: Tree) -> None:
    """Methods and objectives may be left out only where no network is trained or pruned."""
    others = [label for label, model in study["models"].items() if not model["only_evaluate"]]
    for section in ("objectives", "methods"):
        if others and not study[section]:
            raise BadStudy(
                section,
                f"none; allowed: at least 1 entry, since models.{others[0]} is not only_evaluate",
            )
    if study["methods"] and not others:
        raise BadStudy("methods", "every model is only_evaluate, so there is nothing to prune")


def _checkpoints(study: Tree) -> None:
    for label, model in study["models"].items():
        key, checkpoint = f"models.{label}", model["checkpoint"]
        if checkpoint is None:
            if model["only_evaluate"]:
                raise BadStudy(f"{key}.only_evaluate", "true; allowed: with a checkpoint only")
            continue
        if model["normalize"]:
            raise BadStudy(
                f"{key}.normalize",
                "true; allowed with a checkpoint: false, and checkpoint.mean and checkpoint.std "
                "where its network expects normalised images",
            )
        _checkpoint(f"{key}.checkpoint", checkpoint)


def _checkpoint(key: str, given: Tree) -> None:
    """Where the weights lie is said in one way, and completely."""
    ways = [way for way in ("file", "package", "entry_point") if given[way] is not None]
    if len(ways) != 1:
        raise BadStudy(
            key, f"{' and '.join(ways) or 'no place'}; allowed: one of file, package, entry_point"
        )
    for one, other in (("package", "path"), ("mean", "std")):
        if (given[one] is None) != (given[other] is None):
            absent, there = (one, other) if given[one] is None else (other, one)
            raise BadStudy(f"{key}.{absent}", f"is missing; {there} needs it")
    entry_point, digest = given["entry_point"], given["sha256"]
    if entry_point and not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", entry_point):
        raise BadStudy(f"{key}.entry_point", f"{entry_point!r}; allowed: module:function")
    if entry_point and given["under"] is not None:
        raise BadStudy(f"{key}.under", f"{given['under']!r}; allowed: for files only")
    if digest is not None and not re.fullmatch("[0-9a-f]{64}", digest):
        raise BadStudy(f"{key}.sha256", f"{digest!r}; allowed: 64 digits 0-9 and a-f")


def _objectives(study: Tree) -> None:
    """A run whose networks no method prunes would have nothing to analyse."""
    used = {label for method in study["methods"].values() for label in method["objectives"]}
    for label in study["objectives"]:
        if label not in used:
            raise BadStudy(f"objectives.{label}", "no method of this study prunes its networks")


def _distance_attacks(study: Tree) -> None:
    """Every norm has an attack that can look in it, and a distance for every sample."""
    kinds: dict[str, list[str]] = {}
    attacks = study["distances"]["attacks"]
    for attack in attacks:
        key, kind, norm = f"distances.attacks.{column(attack)}", attack["kind"], attack["norm"]
        norms = entry("distance_attacks", kind).constants["norms"]
        if norm not in norms:
            raise BadStudy(key, f"{kind} has no {norm}; allowed: {', '.join(norms)}")
        if attacks.count(attack) > 1:
            raise BadStudy(key, "stands there twice; allowed: once")
        _least(key, attack["options"])
        kinds.setdefault(norm, []).append(kind)
    threat = study["threat"]["norm"]
    if threat not in kinds:
        raise BadStudy("distances", f"none in {threat}, the threat model's norm; allowed: with it")
    for norm, members in kinds.items():
        if not any(_both_sides(kind) for kind in members):
            able = [kind for kind in tables.DISTANCE_ATTACKS if _both_sides(kind)]
            raise BadStudy(
                "distances.attacks",
                f"in {norm} {members[0]} alone leaves misclassified samples without a distance; "
                f"allowed: together with {' or '.join(able)}",
            )


def _both_sides(kind: str) -> bool:
    return entry("distance_attacks", kind).constants["misclassified"]


def _least(key: str, options: Tree) -> None:
    for name, value in options.items():
        if name == "max_stepsize" and value <= 0:
            raise BadStudy(f"{key}.{name}", f"{value:g}; allowed: more than 0")
        least = 0 if name == "targets" else 1
        if isinstance(value, int) and value < least:
            raise BadStudy(f"{key}.{name}", f"{value}; allowed: {least} or more")


def _data(study: Tree) -> None:
    """Dataset readers know no torch, so they can be asked here."""
    for label, dataset in study["datasets"].items():
        try:
            reader = tables.load("datasets", dataset["kind"])(**dataset["options"])
        except ValueError as error:
            raise BadStudy(f"datasets.{label}", str(error)) from None
        limit, size = dataset["limit_test"], reader.test_size()
        if limit is not None and limit > size:
            raise BadStudy(f"datasets.{label}.limit_test", f"{limit}; allowed: {size} or less")


def _extra(study: Tree) -> None:
    """Extra images can only be mixed in where every dataset has some, and one a batch at least."""
    plans = {"training.dense": study["training"]["dense"]}
    if study["dense_again"]:
        plans["training.finetune"] = study["training"]["finetune"]
    for label, method in study["methods"].items():
        stages = STAGES[pipeline_of(method["kind"])]
        plans |= {f"methods.{label}.{stage}": method[stage] for stage in stages}
    default = {"epochs": 1, "batch_size": study["training"]["dense"]["batch_size"], "extra": 0}
    plans |= {key: default | words for key, words in _words(study)}
    for key, plan in plans.items():
        if not plan["extra"] or not plan["epochs"]:
            continue
        for label, dataset in study["datasets"].items():
            if dataset["extra"] is None:
                raise BadStudy(
                    f"{key}.extra",
                    f"{plan['extra']:g}, but datasets.{label} has no extra images; allowed: 0, or "
                    f"with datasets.{label}.extra",
                )
        if not round(plan["extra"] * plan["batch_size"]):
            raise BadStudy(
                f"{key}.extra",
                f"{plan['extra']:g} adds no image to a batch of {plan['batch_size']}; allowed: 0, "
                "or enough for one",
            )


def _presence(study: Tree) -> None:
    """Reading and attacking need the data; looking at results does not."""
    for label, dataset in study["datasets"].items():
        reader = tables.load("datasets", dataset["kind"])(**dataset["options"])
        if missing := reader.missing():
            raise BadStudy(f"datasets.{label}", missing)
        if dataset["extra"] is not None and (lacking := extra.missing(Path(dataset["extra"]))):
            raise BadStudy(f"datasets.{label}.extra", lacking)
    for label, model in study["models"].items():
        if model["checkpoint"] is not None:
            try:
                outside.weights_file(model["checkpoint"])
            except outside.MissingWeights as error:
                raise BadStudy(f"models.{label}.checkpoint", str(error)) from None


CHECKS: tuple[Callable[[Tree], None], ...] = (
    _names,
    _eps,
    _large_repetitions,
    _sparsities,
    _scratch,
    _dense_epochs,
    _checkpoints,
    _trained,
    _methods,
    _limits,
    _teachers,
    _selection,
    _dense_again,
    _objectives,
    _distance_attacks,
    _data,
    _extra,
)

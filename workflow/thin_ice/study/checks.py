"""The checks that a schema cannot make, on a resolved study."""

from collections.abc import Callable
from typing import Any

from thin_ice import tables
from thin_ice.attacks.protocols import PROTOCOLS
from thin_ice.study.options import entry
from thin_ice.study.plan import DENSE, written
from thin_ice.study.schema import BadStudy

Tree = dict[str, Any]
RESERVED_STUDIES = ("reference", "slurm_logs")  # folders of results/ that are no study's
CONTROL = "second_seed"  # the method column of control pairs in the thin-ice table


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
        if label in (DENSE, CONTROL):
            raise BadStudy(f"methods.{label}", f"the label {label!r} is taken; allowed: any other")


def _eps(study: Tree) -> None:
    eps = study["threat"]["eps"]
    if eps <= 0:
        raise BadStudy("threat.eps", f"{eps:g}; allowed: more than 0")
    if study["threat"]["norm"] == "Linf" and eps >= 1:
        raise BadStudy(
            "threat.eps",
            f"{eps:g} covers the whole [0, 1] scale of images; allowed: less than 1 "
            f"(for {eps:g} grey levels write {eps:g}/255)",
        )


def _sparsities(study: Tree) -> None:
    """A sparsity names a folder, and must be read back from the name as it was."""
    for label, method in study["methods"].items():
        for sparsity in method["sparsities"]:
            if float(written(sparsity)) != sparsity:
                key = f"methods.{label}.sparsities"
                raise BadStudy(key, f"{sparsity!r}; allowed: at most ten decimals")


def _dense_epochs(study: Tree) -> None:
    if study["training"]["dense"]["epochs"] < 1:
        raise BadStudy("training.dense.epochs", "0; allowed: 1 or more")


def _selection(study: Tree) -> None:
    """Checkpoints can only be chosen among epochs."""
    for label, method in study["methods"].items():
        if study["selection_on_test"] and method["finetune"]["epochs"] < 1:
            raise BadStudy(
                "selection_on_test",
                f"true, but methods.{label}.finetune.epochs is 0; allowed: false",
            )


def _methods(study: Tree) -> None:
    for label, method in study["methods"].items():
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
        for objective in method["objectives"]:
            if objective not in study["objectives"]:
                raise BadStudy(
                    f"methods.{label}.objectives",
                    f"no objective {objective!r} in this study; "
                    f"allowed: {', '.join(study['objectives'])}",
                )


def _objectives(study: Tree) -> None:
    """A run whose networks no method prunes would have nothing to analyse."""
    used = {label for method in study["methods"].values() for label in method["objectives"]}
    for label in study["objectives"]:
        if label not in used:
            raise BadStudy(f"objectives.{label}", "no method of this study prunes its networks")


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


def _presence(study: Tree) -> None:
    """Reading and attacking need the data; looking at results does not."""
    for label, dataset in study["datasets"].items():
        reader = tables.load("datasets", dataset["kind"])(**dataset["options"])
        if missing := reader.missing():
            raise BadStudy(f"datasets.{label}", missing)


CHECKS: tuple[Callable[[Tree], None], ...] = (
    _names,
    _eps,
    _sparsities,
    _dense_epochs,
    _methods,
    _selection,
    _objectives,
    _data,
)

"""A network as a JSON of facts in RobustBench's form (Croce et al. 2021, its ``model_info`` files).

Numbers are text with two decimals, as there. What is neither known nor measured is null: nobody has
published these networks, so link and authors are. ``unreliable`` says whether the study's own
minimum-norm attacks leave less than AutoAttack's interval allows; null where none were run.
"""

from collections.abc import Iterator
from typing import Any

from thin_ice.provenance.leaderboards.measured import Measured

UNPUBLISHED = "N/A"  # RobustBench's own word
ARCHITECTURES = {"resnet18": "ResNet-18", "vgg16_bn": "VGG-16-BN"}
DATASETS = ("cifar10",)  # of those that this library reads
THREATS = {"Linf": "8/255", "L2": "0.5"}  # RobustBench's, on CIFAR-10
Tree = dict[str, Any]


def model_info(one: Measured) -> Tree:
    """The facts of one network."""
    numbers = one.numbers
    return {
        "link": None,
        "name": f"{one.study['name']}: {one.folder}",
        "authors": None,
        "additional_data": _additional_data(one),
        "number_forward_passes": 1,
        "dataset": numbers["dataset"],
        "venue": UNPUBLISHED,
        "architecture": _architecture(one),
        "eps": one.eps_name,
        "clean_acc": _percent(numbers["clean"]),
        "reported": _reported(one),
        "autoattack_acc": _percent(numbers["autoattack"]),
        "unreliable": _unreliable(one),
        "footnote": "; ".join(_footnotes(one)),
    }


def _additional_data(one: Measured) -> bool | None:
    """Whether any stage of its training saw more than its dataset; of one that came it is unknown
    unless a stage here did.
    """
    jobs = (one.network.job, *one.network.history)
    plans = [job.parameters["plan"] for job in jobs if "plan" in job.parameters]
    if any(plan.get("extra") and plan["epochs"] for plan in plans):
        return True
    return None if one.came else False


def _architecture(one: Measured) -> str:
    """In the field's words where it has some; widths and depths that were chosen in brackets."""
    kind, options = one.model["kind"], one.model["options"]
    if kind in ARCHITECTURES and options in ({}, {"width": 64}):
        return ARCHITECTURES[kind]
    chosen = ", ".join(f"{name} {value}" for name, value in options.items())
    return f"{kind} ({chosen})" if chosen else kind


def _percent(accuracy: Tree) -> str:
    return f"{accuracy['percent']:.2f}"


def _reported(one: Measured) -> str | None:
    """By the protocol that the method's authors claim by. Nobody claims of one not pruned."""
    if not one.pruned:
        return None
    return _percent(one.numbers["claimed"][one.study["methods"][one.method]["claimed"]]["accuracy"])


def _unreliable(one: Measured) -> bool | None:
    if one.distance_robust_percent is None:
        return None
    return one.distance_robust_percent < one.numbers["autoattack"]["low_percent"]


def _footnotes(one: Measured) -> Iterator[str]:
    """What the numbers are of, and what keeps them from standing beside the leaderboard's."""
    yield f"threat model {one.norm}, eps {one.eps:.6g}"
    if one.pruned:
        method = one.study["methods"][one.method]
        of = "" if one.network.unit == "weight" else f" of its {one.network.unit}s"
        yield f"pruned by {method['kind']} to sparsity {one.sparsity:g}{of}"
        yield f"reported is its accuracy by {method['claimed']}, measured here"
    if one.numbers["dataset"] not in DATASETS:
        yield f"{one.numbers['dataset']} is no dataset of RobustBench"
    elif one.eps_name != THREATS.get(one.norm):
        theirs = THREATS.get(one.norm)
        yield f"RobustBench's eps is {theirs}" if theirs else f"RobustBench has no {one.norm}"
    yield from one.departures()
    if one.distance_robust_percent is not None:
        yield f"{one.distance_robust_percent:.2f} % robust by minimum-norm distances"

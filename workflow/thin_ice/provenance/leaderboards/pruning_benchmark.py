"""A study as entries of the adversarial-pruning benchmark (Piras et al. 2024, arXiv 2409.01249).

The benchmark knows a network by its model key, ``<ap_key>_<R18|V16>_<CIFAR10|SVHN>_<US|S>_<sparsity
in percent>``, and asks of each for clean accuracy, AutoAttack (standard) at eps 0.031 and HO-FMN at
8/255, with the method's taxonomy entry. Here the third number comes from the study's minimum-norm
distances, with whatever attacks these were measured by. A file names what was measured otherwise.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from thin_ice.provenance.leaderboards.measured import Measured
from thin_ice.provenance.leaderboards.taxonomy import (
    AFTER,
    ENTRIES,
    LAST_STEP,
    NO_STEP,
    OBJECTIVES,
    WITHOUT_ENTRY,
)

ARCHITECTURES = {"resnet18": "R18", "vgg16_bn": "V16"}
WIDTH = 64  # of both
DATASETS = {"cifar10": "CIFAR10", "svhn": "SVHN"}
STRUCTURES = {"weight": "US", "filter": "S", "channel": "S", "column": "S"}
SPARSITIES = {"US": (90, 95, 99), "S": (50, 75, 90)}
EPS = 0.031  # at which the benchmark runs AutoAttack
HO_FMN_EPS = 8 / 255
Tree = dict[str, Any]


def why_not(one: Measured) -> str | None:
    """Why a network has no place in the benchmark; None where it has one."""
    if not one.pruned:
        return "it is not pruned"
    kind, unit = (one.study["methods"][one.method][key] for key in ("kind", "unit"))
    dataset, architecture = one.numbers["dataset"], one.model["kind"]
    if kind not in ENTRIES:
        return WITHOUT_ENTRY.get(kind, f"{kind} is not in the benchmark's taxonomy")
    if unit not in STRUCTURES:
        return f"its unit is {unit}; the benchmark's are {', '.join(STRUCTURES)}"
    if dataset not in DATASETS:
        return f"its dataset is {dataset}; the benchmark has {' and '.join(DATASETS.values())}"
    if architecture not in ARCHITECTURES:
        return f"its architecture is {architecture}; the benchmark has {', '.join(ARCHITECTURES)}"
    if (width := one.model["options"]["width"]) != WIDTH:
        return f"its {architecture} is {width} wide; the benchmark's is {WIDTH}"
    if one.norm != "Linf":
        return f"its threat model is {one.norm}; the benchmark's is Linf"
    return None


def model_key(one: Measured) -> str:
    """The benchmark's name of a network that it can have."""
    method = one.study["methods"][one.method]
    parts = (
        ENTRIES[method["kind"]]["ap_key"],
        ARCHITECTURES[one.model["kind"]],
        DATASETS[one.numbers["dataset"]],
        STRUCTURES[one.network.unit],
        f"{100 * one.sparsity:g}",
    )
    return "_".join(parts)


def entries(study: Iterable[Measured]) -> dict[str, Tree]:
    """By the method's label, its taxonomy entry and its networks, seed by seed."""
    found: dict[str, Tree] = {}
    for one in study:
        if why_not(one) is None:
            entry = ENTRIES[one.study["methods"][one.method]["kind"]]
            found.setdefault(one.method, {"taxonomy": entry, "models": []})
            found[one.method]["models"].append(_model(one))
    return found


def _model(one: Measured) -> Tree:
    numbers = one.numbers
    return {
        "model_key": model_key(one),
        "seed": one.seed,
        "clean_acc": round(numbers["clean"]["percent"], 2),
        "autoattack_acc": round(numbers["autoattack"]["percent"], 2),
        "minimum_norm_acc": _rounded(one.distance_robust_percent),
        "eps": one.eps,
        "benchmark_eps": EPS,
        "test_samples": numbers["samples"],
        "unit": one.network.unit,
        "sparsity_of_prunable": numbers["sparsity"]["prunable"],
        "normalises_inside": one.normalises,
        "checkpoint": one.network.path,
        "checkpoint_sha256": one.sha256,
        "differs": list(_differences(one)),
    }


def _differences(one: Measured) -> Iterator[str]:
    """What keeps these numbers from being the benchmark's own."""
    if one.eps != EPS:
        yield f"AutoAttack ran at eps {one.eps:.6g} ({one.eps_name}), the benchmark's is {EPS}"
    yield from one.departures()
    if one.distance_robust_percent is None:
        yield "no minimum-norm distances of this network, so minimum_norm_acc is null"
    else:
        yield (
            "minimum_norm_acc is from this study's minimum-norm attacks on all its test samples, "
            "the benchmark's from HO-FMN (DLR, SGD, CALR) on 128"
        )
        if one.eps != HO_FMN_EPS:
            yield f"minimum_norm_acc is at eps {one.eps:.6g}, the benchmark's at 8/255"
    structure = STRUCTURES[one.network.unit]
    if round(100 * one.sparsity, 6) not in SPARSITIES[structure]:
        known = ", ".join(map(str, SPARSITIES[structure]))
        yield f"sparsity is {100 * one.sparsity:g} %, the benchmark's are {known}"
    if structure == "S":
        yield (
            f"its {100 * one.sparsity:g} % are of the {one.network.unit}s; of the prunable weights "
            f"{100 * one.numbers['sparsity']['prunable']:.2f} % are zero"
        )
    yield from _other_objective(one)


def _other_objective(one: Measured) -> Iterator[str]:
    """Any objective may meet any method here; the taxonomy has the published one."""
    kind = one.network.objective["kind"]
    entry = ENTRIES[one.study["methods"][one.method]["kind"]]
    pipeline = entry["Type of Pipeline:"]
    published = entry[LAST_STEP[pipeline]]
    if published not in (NO_STEP, OBJECTIVES.get(kind)):
        how = "fine-tuned" if pipeline == AFTER else "trained"
        yield f"it was {how} by {kind}, the taxonomy says {published}"


def _rounded(percent: float | None) -> float | None:
    return None if percent is None else round(percent, 2)

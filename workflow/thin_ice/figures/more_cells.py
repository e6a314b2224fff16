"""The further tables of the analysis as text: predictors, joint model, thickness, classes, ..."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from thin_ice.figures.finished import FEW_SAMPLES
from thin_ice.figures.words import (
    MEASURES,
    interval,
    norm_name,
    number,
    pair_name,
    predictor_name,
    probability,
)

Row = dict[str, Any]
Column = tuple[str, Callable[[Row], str]]
Cells = tuple[list[str], list[list[str]]]


def _text(name: str) -> Callable[[Row], str]:
    return lambda row: str(row[name])


def _count(name: str) -> Callable[[Row], str]:
    return lambda row: str(int(row[name]))


def _number(name: str, digits: int = 1) -> Callable[[Row], str]:
    return lambda row: number(float(row[name]), digits)


def _p(name: str) -> Callable[[Row], str]:
    return lambda row: probability(float(row[name]))


def _between(name: str, digits: int, low: str = "", high: str = "") -> Callable[[Row], str]:
    """A value with its interval."""
    names = (name, low or f"{name}_low", high or f"{name}_high")
    return lambda row: interval(*(float(row[one]) for one in names), digits=digits)


def _told(name: str) -> Callable[[Row], str]:
    """A value with its interval, unless there are too few samples to say."""

    def cell(row: Row) -> str:
        value = float(row[name])
        if min(row["kept_samples"], row["lost_samples"]) < FEW_SAMPLES:
            return number(value, 2) + " (too few)" * math.isfinite(value)
        return _between(name, 2)(row)

    return cell


def _pair(end: str = "") -> Callable[[Row], str]:
    return lambda row: pair_name(row[f"method{end}"], row[f"sparsity{end}"])


PAIR = (("compared with dense", _pair()), ("seed", _count("seed")))
VIEW = (*PAIR, ("correctness", _text("correctness")))
NORM = ("norm", lambda row: norm_name("" if row["norm"] != row["norm"] else row["norm"]))
SAMPLES = (("samples", _count("samples")), ("lost", _count("lost")))

PREDICTORS: tuple[Column, ...] = (
    *VIEW,
    ("predictor", lambda row: predictor_name(row["predictor"])),
    NORM,
    ("kept", _count("kept_samples")),
    ("lost", _count("lost_samples")),
    ("AUROC", _told("auroc")),
    ("average precision", _told("average_precision")),
    ("by chance", _number("lost_share", 2)),
    ("p (Mann-Whitney, adjusted)", _p("mann_whitney_adjusted_p")),
    ("rank-biserial", _number("rank_biserial", 2)),
    ("gain of distance", _told("auroc_gain")),
)
JOINT: tuple[Column, ...] = (
    *VIEW,
    *SAMPLES,
    ("AUROC of rivals", _number("auroc_without", 3)),
    ("with distance", _number("auroc_with", 3)),
    ("gain", _between("gain", 3)),
    ("likelihood ratio", _number("likelihood_ratio", 1)),
    ("p (adjusted)", _p("adjusted_p")),
    ("coefficient of distance", _number("distance_coefficient", 2)),
)
THICKNESS: tuple[Column, ...] = (
    *VIEW,
    NORM,
    ("share lost (%)", lambda row: f"{100 * row['share']:g}"),
    ("ice thickness", _between("thickness", 4)),
    *SAMPLES,
)
CLASSES: tuple[Column, ...] = (
    *VIEW,
    ("class", _count("label")),
    ("right", _count("right")),
    ("lost", _count("lost")),
    ("lost (%)", _between("lost_percent", 1, "low", "high")),
    ("rescued", _count("rescued")),
    ("dense accuracy (%)", _number("dense_percent")),
    ("other accuracy (%)", _number("other_percent")),
    ("p (Fisher, adjusted)", _p("adjusted_p")),
)
PIES: tuple[Column, ...] = (
    ("compared with dense", _pair()),
    ("seeds", _count("seeds")),
    ("samples", _count("samples")),
    ("PIEs", _count("pies")),
    ("PIEs (%)", _between("pie_percent", 1, "low", "high")),
    ("median distance of PIEs", _number("pie_median_distance", 4)),
    ("of the others", _number("other_median_distance", 4)),
    ("AUROC of distance", _between("auroc", 2)),
    ("enough seeds", _text("enough_seeds")),
)
OVERLAP: tuple[Column, ...] = (
    ("seed", _count("seed")),
    ("correctness", _text("correctness")),
    ("a", _pair("_a")),
    ("b", _pair("_b")),
    ("lost by a", _count("lost_a")),
    ("lost by b", _count("lost_b")),
    ("both", _count("both")),
    ("Jaccard", _number("jaccard", 3)),
    ("by chance", _number("jaccard_by_chance", 3)),
    ("of a's in b's (%)", _between("inside_percent", 1, "inside_low", "inside_high")),
    ("by chance (%)", _number("inside_by_chance_percent")),
)
MOVEMENT: tuple[Column, ...] = (
    *PAIR,
    NORM,
    ("set", _text("set")),
    ("samples", _count("samples")),
    ("at ∞", _count("infinite")),
    ("median on dense", _number("dense_median", 4)),
    ("on the other", _number("other_median", 4)),
    ("median change", _between("change_median", 4, "change_low", "change_high")),
    ("closer (%)", _number("closer_percent")),
    ("rank correlation", _number("spearman", 2)),
)
NETWORK = (("network", _pair()), ("seed", _count("seed")))
MEASURE = (
    ("measure", lambda row: MEASURES[row["measure"]]),
    ("by protocol", lambda row: row["protocol"].replace("none", "–")),
)
OBJECTIVES = (("trained with", _text("trained_with")), ("fine-tuned with", _text("tuned_with")))
PRESERVATION: tuple[Column, ...] = (
    *NETWORK,
    *OBJECTIVES,
    *MEASURE,
    ("dense (%)", _number("dense_percent")),
    ("pruned (%)", _number("pruned_percent")),
    ("kept (%)", _between("kept_percent", 1, "kept_low", "kept_high")),
    ("lost (points)", _between("points", 1)),
)
TRAINING: tuple[Column, ...] = (
    *NETWORK,
    ("pruned", lambda row: row["pipeline"].replace("none", "–")),
    ("stage", _text("stage")),
    ("epochs", _count("epochs")),
    ("of accuracy", _text("measure")),
    ("best epoch", _number("best_epoch", 0)),
    ("best (%)", _number("best_percent")),
    ("last (%)", _number("last_percent")),
    (
        "robust overfitting (points)",
        _between("overfitting_points", 1, "overfitting_low", "overfitting_high"),
    ),
    ("gap (points)", _number("gap_points")),
    ("catastrophic from epoch", _number("catastrophic_epoch", 0)),
    ("cured (points)", _number("cured_points")),
)
AVERAGES: tuple[Column, ...] = (
    ("networks", _pair()),
    ("measure", lambda row: MEASURES[row["measure"]]),
    ("over", lambda row: {"all": "all", "own": "trained for it"}[row["over"]]),
    ("how many", _count("networks")),
    ("collapsed", _count("collapsed")),
    ("dense (%)", _number("dense_percent")),
    ("pruned (%)", _number("pruned_percent")),
    ("kept (%)", _between("kept_percent", 1, "kept_low", "kept_high")),
    ("least", _number("lowest")),
    ("most", _number("highest")),
    ("published (%)", _number("published_percent")),
    ("nothing to keep", _count("without_ratio")),
)
MISMATCH: tuple[Column, ...] = (
    ("model", _text("model")),
    ("data", _text("dataset")),
    ("method", lambda row: f"{row['kind']} {row['sparsity']:g}"),
    ("unit", _text("unit")),
    *OBJECTIVES,
    *MEASURE,
    ("accuracy (%)", _number("percent")),
    ("least", _number("lowest")),
    ("most", _number("highest")),
    ("networks", _count("networks")),
    ("lost to the same objective twice (points)", _number("lost_points")),
)


def cells(table: pd.DataFrame, columns: Sequence[Column]) -> Cells:
    """Header and rows; the run is a column only where there are several, and rows of one each."""
    rows = table.to_dict("records")
    several = "run" in table and table.run.nunique() > 1
    header = ["run"] * several + [name for name, _ in columns]
    runs = table.run if several else [""] * len(rows)
    cells = [[cell(row) for _, cell in columns] for row in rows]
    return header, [[run] * several + row for run, row in zip(runs, cells, strict=True)]

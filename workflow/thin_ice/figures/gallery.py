"""The table of figures: name, the table behind it, how it is drawn, what it shows. Add one here."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from thin_ice.figures import (
    accuracy,
    auroc,
    certified,
    classes,
    densities,
    distances,
    loss_by_distance,
    mechanisms,
    mismatch,
    movement,
    overestimate,
    overfitting,
    overlap,
    preservation,
    rivals,
    security,
    smoothed,
    thickness,
    twins,
)
from thin_ice.figures import ice_sentences as ice
from thin_ice.figures import kept_sentences as kept
from thin_ice.figures import sentences as say
from thin_ice.figures.finished import FEW_SAMPLES, Finished
from thin_ice.figures.layout import empty
from thin_ice.figures.standing import ALL_GONE, left_out
from thin_ice.figures.theme import save, theme
from thin_ice.files import write_text


@dataclass(frozen=True)
class Exhibit:
    """A figure of the report.

    Attributes:
        section: of the page.
        title: above the figure.
        reading: what is drawn, never what it shows.
        sources: the tables of the analysis that it was made from.
        table: the table behind it.
        draw: the figure of that table.
        sentence: what it shows.
        absent: why there is none, where its table is empty and its drawing has nothing to say.
    """

    section: str
    title: str
    reading: str
    sources: tuple[str, ...]
    table: Callable[[Finished], pd.DataFrame]
    draw: Callable[[pd.DataFrame, Finished], Figure]
    sentence: Callable[[pd.DataFrame, Finished], str]
    absent: str = ""


@dataclass(frozen=True)
class Shown:
    """An exhibit's files and its sentence; ``drawn`` is false where it has nothing to show."""

    name: str
    png: Path
    svg: Path
    csv: Path
    sentence: str
    drawn: bool = True

    @property
    def exhibit(self) -> Exhibit:
        return EXHIBITS[self.name]

    @property
    def files(self) -> list[Path]:
        return [self.png, self.svg, self.csv]


EXHIBITS = {
    "accuracy": Exhibit(
        "accuracy",
        "Accuracy before and after pruning",
        "Every seed is a point, lines join the means. Claimed: by the method's own protocol, "
        "which attacks the dense network too.",
        ("accuracy",),
        accuracy.table,
        accuracy.draw,
        lambda table, _: say.accuracy_sentence(table),
    ),
    "overfitting": Exhibit(
        "training",
        "Does sparsity cure robust overfitting?",
        "Of the stage that chose each network's checkpoint: the best validated epoch's robust "
        "accuracy under the training adversary minus the last one's. The best is never below the "
        "last, so chance alone makes it positive. Bars are 95 % intervals over validation images "
        "that take both epochs for independent, and so are too wide. Intervals in the sentence are "
        "over networks, taken for independent too. Fine-tuning is short and begins with a trained "
        "network: only training from initialisation compares with the dense networks'.",
        ("training",),
        overfitting.table,
        overfitting.draw,
        lambda table, _: overfitting.sentence(table),
        "No network of this study was trained here to be robust.",
    ),
    "overestimate": Exhibit(
        "overestimate",
        "Claimed minus AutoAttack",
        "Every seed is a point, the bar is the mean; the claimed protocol stands in brackets.",
        ("accuracy",),
        overestimate.table,
        overestimate.draw,
        lambda table, _: say.overestimate_sentence(table),
    ),
    "mechanisms": Exhibit(
        "overestimate",
        "What each mechanism alone hides",
        "Points are what the claimed accuracy falls by when this one mechanism is switched to the "
        "sound choice and all else stays as claimed, seeds averaged; bars are 95 % intervals over "
        "samples. What mechanisms hide does not add up, since they overlap, and AutoAttack has "
        "attacks that none of them stands for.",
        ("overestimate",),
        mechanisms.table,
        mechanisms.draw,
        lambda table, _: say.mechanisms_sentence(table),
    ),
    "preservation": Exhibit(
        "preservation",
        "What pruning keeps",
        "Every point is a network, seeds apart: what it reaches in percent of what its dense "
        "network reaches, by the claimed protocol (empirical), AutoAttack, bounds (verified) and "
        "certificates of smoothing (smoothed). Short lines are means over networks, collapsed ones "
        "too; stars are the averages that Sehwag et al. (2019) published for networks 10 times "
        "smaller. A network is trained for a measure if it was trained and fine-tuned after it; "
        "after benign accuracy all are. Of a dense network that reaches 0 % nothing can be kept: "
        "it has no point.",
        ("preservation",),
        preservation.table,
        preservation.draw,
        lambda table, _: kept.preservation_sentence(table),
        "No network is pruned in this study.",
    ),
    "mismatch": Exhibit(
        "preservation",
        "Trained with one objective, fine-tuned with another",
        "A cell a pair of objectives, seeds averaged: what the pruned network reaches and, "
        "beneath, how far that is from the pair of the same column that was also trained with what "
        "it was fine-tuned with. Colours have a scale a measure, the same in every row.",
        ("accuracy",),
        mismatch.table,
        mismatch.draw,
        lambda table, _: kept.mismatch_sentence(table),
        "Every network was fine-tuned with the objective that trained it.",
    ),
    "certified": Exhibit(
        "certified",
        "Proved, broken and unknown",
        "A panel a network, its seeds in one: the share of test samples that are right and proved "
        "to stay so within ε, and of those that no attack flipped within ε. In between it is "
        "unknown: not proved, not broken. No sample may be both proved and broken.",
        ("certified",),
        certified.table,
        certified.draw,
        lambda table, finished: kept.certified_sentence(table, finished.eps),
        "No radius was certified.",
    ),
    "smoothed": Exhibit(
        "certified",
        "Certified by smoothing",
        "Every line is a network under Gaussian noise, which is another network than the one that "
        "is attacked and verified: the share of test samples that it is certified to classify "
        "correctly within an L2 ball, a certificate being wrong with the stated probability. A "
        "sample on which it abstains is not certified.",
        ("certified",),
        smoothed.table,
        smoothed.draw,
        lambda table, finished: kept.smoothed_sentence(
            table, finished.study["certification"]["smoothing"]["sigma"]
        ),
        "No network was smoothed.",
    ),
    "security": Exhibit(
        "security",
        "Robust accuracy against ε",
        "Every line is a network: the share of test samples that are right and farther than ε from "
        "the boundary, by the smallest distance that any attack found. A sample that no attack "
        "flipped counts as robust; the table has their share. Distances are upper bounds and so "
        "are the curves: one that runs above AutoAttack's interval at the study's ε is wrong.",
        ("curves",),
        security.table,
        security.draw,
        lambda table, _: say.security_sentence(table),
    ),
    "densities": Exhibit(
        "thin_ice",
        "How each set is spread",
        "Histograms of each set on its own, seeds pooled, over the signed distance on the dense "
        "network; bins end at the boundary that matters. A set of fewer than "
        f"{FEW_SAMPLES} samples is drawn as ticks.",
        ("samples",),
        densities.table,
        densities.draw,
        lambda table, _: ice.densities_sentence(table),
        "No sample has a found distance.",
    ),
    "distances": Exhibit(
        "thin_ice",
        "Where each set stands",
        "Signed distance on the dense network, seeds pooled: positive where it is right. At most "
        f"{distances.DRAWN} points of a set are drawn, boxes stand on all; “at ∞” counts samples "
        "without a found distance, which are not drawn. The table holds the counts and quantiles.",
        ("samples", "thin_ice"),
        distances.table,
        distances.draw,
        lambda _, finished: say.distances_sentence(finished.main_pairs),
    ),
    "loss_by_distance": Exhibit(
        "thin_ice",
        "Who is lost, by distance",
        "Bins hold equally many samples that the dense network has right, seeds pooled; bars are "
        "95 % Wilson intervals. A sample whose distance was not found is in the last bin.",
        ("samples",),
        loss_by_distance.table,
        loss_by_distance.draw,
        lambda table, _: say.loss_sentence(table),
    ),
    "thickness": Exhibit(
        "thin_ice",
        "How thick the ice must be",
        "The chance to be lost, fitted by steps that never rise with distance, a line a seed. Ice "
        "thickness: the largest distance at which the fit exceeds a share; marks stand at "
        "5, 20 and 50 % with their intervals.",
        ("samples", "thickness"),
        thickness.table,
        thickness.draw,
        lambda table, _: ice.thickness_sentence(table),
        "The dense networks have no sample right, so none can be lost.",
    ),
    "auroc": Exhibit(
        "thin_ice",
        "Does distance tell who is lost?",
        "Probability that a lost sample stood nearer to the boundary that matters than a kept one. "
        "Controls stand in place of the pruned network: the second dense seed, and the dense "
        "network fine-tuned again.",
        ("thin_ice",),
        auroc.table,
        auroc.draw,
        lambda table, _: say.auroc_sentence(table),
    ),
    "rivals": Exhibit(
        "thin_ice",
        "Is it the distance?",
        "Each predictor ranks the samples that the dense network has right; the AUROC is the "
        "probability that it puts a lost one before a kept one. A line a seed, with its 95 % "
        "interval. Every predictor but the other seed's distance looks at the dense network alone, "
        "and the predicted change also at the weights of the other.",
        ("predictors",),
        rivals.table,
        rivals.draw,
        lambda table, _: ice.rivals_sentence(table),
        "The analysis compares no predictors.",
    ),
    "twins": Exhibit(
        "thin_ice",
        "The thinnest ice",
        "The correct samples nearest to each dense network's boundary, with their class; their "
        "nearest adversarial twins, with the class they are taken for and the distance; and the "
        "difference, magnified.",
        ("twins",),
        twins.table,
        twins.draw,
        lambda table, finished: ice.twins_sentence(
            table, finished.eps, finished.study["threat"]["norm"]
        ),
        "There are no twins to show: none were searched for, or no sample is right.",
    ),
    "classes": Exhibit(
        "who",
        "Who is lost, by class",
        "Of the samples of a class that the dense networks have right, the share lost, seeds "
        "pooled; marks are the controls. Bars are 95 % Wilson intervals.",
        ("classes",),
        classes.table,
        classes.draw,
        lambda table, finished: ice.classes_sentence(table, finished.classes),
        "The analysis has no table of classes.",
    ),
    "overlap": Exhibit(
        "who",
        "Are the same samples lost?",
        "Jaccard index: samples that both lose over samples that either loses. By chance: what two "
        "sets of these sizes would have, drawn from the samples that the dense network has right.",
        ("overlap",),
        overlap.table,
        overlap.draw,
        lambda table, finished: ice.overlap_sentence(table, finished.overlap),
        "There are no two networks whose lost sets could be compared.",
    ),
    "movement": Exhibit(
        "movement",
        "Where the boundary moved",
        "A point a sample, by its set in clean correctness: its signed distance on the dense "
        "network and on the other one. Below the dashed line the boundary came nearer, below 0 the "
        f"sample is wrong. At most {movement.DRAWN} points of a set are drawn; those beyond the "
        "middle 99 % stand at the edge. The sets are chosen by the outcome: chance alone "
        "has lost samples come nearer and rescued ones move away. Those of the controls are chosen "
        "in the same way: compare with them.",
        ("samples", "movement"),
        movement.table,
        movement.draw,
        lambda _, finished: ice.movement_sentence(finished.main(finished.movement)),
        "No sample has a found distance on two networks that are compared.",
    ),
}


COMPARING = ("thin_ice", "who", "movement")  # sections that need a compared network
ALONE = ("twins",)  # exhibits of theirs that do not
OF_METHODS = (
    "training",
    "overestimate",
    *COMPARING,
)  # sections whose sentences leave out collapsed networks


def show(name: str, finished: Finished, folder: Path) -> Shown:
    """Write a figure's PNG, SVG and CSV into ``folder``."""
    exhibit, stem = EXHIBITS[name], folder / name
    table = exhibit.table(finished)
    nothing = _nothing(name, finished) or (exhibit.absent if table.empty else None)
    write_text(stem.with_suffix(".csv"), table.to_csv(index=False, float_format="%.6g"))
    with theme():
        figure = empty(exhibit.title, nothing) if nothing else exhibit.draw(table, finished)
        png, svg = save(figure, stem)
    sentence = nothing or _said(name, table, finished)
    return Shown(name, png, svg, stem.with_suffix(".csv"), sentence, not nothing)


def _said(name: str, table: pd.DataFrame, finished: Finished) -> str:
    """The sentence; where it speaks of methods, of the networks that have not collapsed."""
    exhibit, rest = EXHIBITS[name], finished.standing
    if rest is finished or exhibit.section not in OF_METHODS or name in ALONE:
        return exhibit.sentence(table, finished)
    spoken = exhibit.table(rest)
    gone = _nothing(name, rest) or not rest.methods or spoken.empty
    return f"{ALL_GONE if gone else exhibit.sentence(spoken, rest)} {left_out(finished.accuracy)}"


def _nothing(name: str, finished: Finished) -> str | None:
    """Why an exhibit has nothing to show: a study may have dense networks alone."""
    section = EXHIBITS[name].section
    if section in COMPARING and name not in ALONE and finished.thin_ice.empty:
        return "No network is compared with a dense one in this study."
    if section == "overestimate" and finished.accuracy.overestimate_points.isna().all():
        return "Nothing is claimed of the networks of this study."
    return None

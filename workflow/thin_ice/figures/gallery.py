"""The table of figures: name, the table behind it, how it is drawn, what it shows. Add one here."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from thin_ice.figures import (
    accuracy,
    auroc,
    distances,
    loss_by_distance,
    mechanisms,
    overestimate,
    security,
)
from thin_ice.figures import sentences as say
from thin_ice.figures.finished import Finished
from thin_ice.figures.layout import empty
from thin_ice.figures.theme import save, theme
from thin_ice.files import write_text


@dataclass(frozen=True)
class Exhibit:
    """A figure of the report. ``reading`` says what is drawn, never what it shows."""

    section: str
    title: str
    reading: str
    table: Callable[[Finished], pd.DataFrame]
    draw: Callable[[pd.DataFrame, Finished], Figure]
    sentence: Callable[[pd.DataFrame, Finished], str]


@dataclass(frozen=True)
class Shown:
    """An exhibit that was drawn: its files, and its sentence."""

    name: str
    exhibit: Exhibit
    png: Path
    svg: Path
    csv: Path
    sentence: str

    @property
    def files(self) -> list[Path]:
        return [self.png, self.svg, self.csv]


EXHIBITS = {
    "accuracy": Exhibit(
        "accuracy",
        "Accuracy before and after pruning",
        "Every seed is a point, lines join the means. Claimed: by the method's own protocol, "
        "which attacks the dense network too.",
        accuracy.table,
        accuracy.draw,
        lambda table, _: say.accuracy_sentence(table),
    ),
    "overestimate": Exhibit(
        "overestimate",
        "Claimed minus AutoAttack",
        "Every seed is a point, the bar is the mean; the claimed protocol stands in brackets.",
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
        mechanisms.table,
        mechanisms.draw,
        lambda table, _: say.mechanisms_sentence(table),
    ),
    "security": Exhibit(
        "security",
        "Robust accuracy against ε",
        "Every line is a network: the share of test samples that are right and farther than ε from "
        "the boundary, by the smallest distance that any attack found. A sample that no attack "
        "flipped counts as robust; the table has their share. Distances are upper bounds and so "
        "are the curves: one that runs above AutoAttack's interval at the study's ε is wrong.",
        security.table,
        security.draw,
        lambda table, _: say.security_sentence(table),
    ),
    "auroc": Exhibit(
        "thin_ice",
        "Does distance tell who is lost?",
        "Probability that a lost sample stood nearer to the boundary that matters than a kept one. "
        "The second dense seed in place of the pruned network is the control.",
        auroc.table,
        auroc.draw,
        lambda table, _: say.auroc_sentence(table),
    ),
    "loss_by_distance": Exhibit(
        "thin_ice",
        "Who is lost, by distance",
        "Bins hold equally many samples that the dense network has right, seeds pooled; bars are "
        "95 % Wilson intervals. A sample whose distance was not found is in the last bin.",
        loss_by_distance.table,
        loss_by_distance.draw,
        lambda table, _: say.loss_sentence(table),
    ),
    "distances": Exhibit(
        "thin_ice",
        "Where each set stands",
        "Signed distance on the dense network, seeds pooled: positive where it is right. At most "
        f"{distances.DRAWN} points of a set are drawn, boxes stand on all; “at ∞” counts samples "
        "without a found distance, which are not drawn. The table holds the counts and quantiles.",
        distances.table,
        distances.draw,
        lambda _, finished: say.distances_sentence(finished.main_pairs),
    ),
}


def show(name: str, finished: Finished, folder: Path) -> Shown:
    """Write a figure's PNG, SVG and CSV into ``folder``."""
    exhibit, stem = EXHIBITS[name], folder / name
    table, nothing = exhibit.table(finished), _nothing(exhibit, finished)
    write_text(stem.with_suffix(".csv"), table.to_csv(index=False, float_format="%.6g"))
    with theme():
        figure = empty(exhibit.title, nothing) if nothing else exhibit.draw(table, finished)
        png, svg = save(figure, stem)
    sentence = nothing or exhibit.sentence(table, finished)
    return Shown(name, exhibit, png, svg, stem.with_suffix(".csv"), sentence)


def _nothing(exhibit: Exhibit, finished: Finished) -> str | None:
    """Why an exhibit has nothing to show: a study may have dense networks alone."""
    if exhibit.section == "thin_ice" and finished.thin_ice.empty:
        return "No network is compared with a dense one in this study."
    if exhibit.section == "overestimate" and finished.accuracy.overestimate_points.isna().all():
        return "Nothing is claimed of the networks of this study."
    return None

"""The result tables: each is on the page, and a CSV, Markdown and LaTeX file. Add one here."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from thin_ice.figures import more_cells
from thin_ice.figures.finished import Finished
from thin_ice.figures.headline import headline_cells, headline_table, markdown
from thin_ice.figures.ice_cells import ice_cells
from thin_ice.figures.indicator_cells import indicator_cells
from thin_ice.figures.latex import latex
from thin_ice.figures.mechanisms import mechanism_cells
from thin_ice.figures.more_cells import Cells
from thin_ice.figures.optimality_cells import optimality_cells
from thin_ice.figures.size_cells import SIZES
from thin_ice.files import write_text

PREFIX = "table-"  # of files; a record speaks of its own folder alone, so they lie beside figures
OPEN_ROWS = 30  # a longer table is folded


@dataclass(frozen=True)
class Result:
    """A table of the report.

    Attributes:
        title: above it.
        reading: what it holds.
        sources: the tables of the analysis that it was made from.
        rows: its numbers as they are, for the CSV.
        cells: its header and text, for people.
    """

    title: str
    reading: str
    sources: tuple[str, ...]
    rows: Callable[[Finished], pd.DataFrame]
    cells: Callable[[Finished], Cells]


@dataclass(frozen=True)
class Tabled:
    """A result table that was written: its text and its files."""

    name: str
    result: Result
    cells: Cells
    files: tuple[Path, ...]

    @property
    def is_open(self) -> bool:
        return len(self.cells[1]) <= OPEN_ROWS


def _of(name: str, columns: tuple[more_cells.Column, ...]) -> tuple[Callable, Callable]:
    """Rows and cells of a table that is shown as the analysis wrote it."""

    def rows(finished: Finished) -> pd.DataFrame:
        return getattr(finished, name)

    return rows, lambda finished: more_cells.cells(rows(finished), columns)


def _headline(finished: Finished) -> pd.DataFrame:
    return headline_table(finished.accuracy)


RESULTS = {
    "headline": Result(
        "Accuracy of every network",
        "Mean over seeds ± standard deviation. Sparsity reached is the share of prunable weights "
        "that are zero; the sparsity in a name is the share of units pruned, which are weights "
        "unless the table has a column for them: filters, channels or columns of every layer. "
        "Claimed: by the method's published protocol. Overestimate: claimed minus AutoAttack. "
        "Verified, in a study that certifies: proved correct on the whole ball, a lower bound. "
        "Remarks name networks that classify no better than guessing (at chance) or give one class "
        "to more than 99 % of the samples (constant prediction), and prunable layers that keep no "
        "weight (empty).",
        ("accuracy",),
        _headline,
        lambda finished: headline_cells(_headline(finished)),
    ),
    "indicators": Result(
        "The indicators of attack failure",
        "In percent of the samples that the network has right, of those drawn; unstable "
        "predictions: the mean relative change of the margin.",
        ("accuracy",),
        lambda finished: finished.accuracy,
        lambda finished: indicator_cells(finished.accuracy),
    ),
    "training": Result(
        "How training went",
        "Of the stage that chose each network's checkpoint. Robust overfitting: the best validated "
        "epoch's robust accuracy (clean, where training was after nothing else) minus the last "
        "one's, with a 95 % interval over images that takes the two for independent. The best is "
        "never below the last, so chance alone makes it positive. Gap: accuracy in training, in "
        "the last epoch, minus accuracy on validation. Catastrophic: the first epoch whose "
        "accuracy under PGD is less than half of the best so far, while that under the single step "
        "that trains the network is not. Cured: the overfitting of the dense network of the same "
        "run and seed minus this one's.",
        ("training",),
        *_of("training", more_cells.TRAINING),
    ),
    "overestimate": Result(
        "The overestimate table",
        "In points, with 95 % intervals over samples. A dash: the protocol is sound in it, or it "
        "was not measured.",
        ("overestimate",),
        lambda finished: finished.overestimate,
        lambda finished: mechanism_cells(finished.overestimate),
    ),
    "averages": Result(
        "What is kept on average",
        "Means over networks of what a pruned network reaches in percent of what its dense network "
        "reaches, with Student's 95 % interval over networks (from three on), the least and most. "
        "Over all networks, or over those trained and fine-tuned after the measure. Collapsed ones "
        "count; where the dense network has nothing to keep there is no ratio to count. Published: "
        "the averages of Sehwag et al. (2019) over four networks on CIFAR-10, 10 times smaller.",
        ("preservation",),
        *_of("averages", more_cells.AVERAGES),
    ),
    "preservation": Result(
        "What each network keeps",
        "Kept: of the pruned network in percent of its dense network's, lost: the difference in "
        "points, both with 95 % intervals over test samples, the networks held fixed.",
        ("preservation",),
        *_of("preservation", more_cells.PRESERVATION),
    ),
    "mismatch": Result(
        "Objectives that differ",
        "Mean over seeds of the accuracy of networks trained with one objective and fine-tuned "
        "with another, the least and the most of them; and how many points fewer that is than of "
        "those both trained and fine-tuned with the latter.",
        ("accuracy",),
        *_of("mismatch", more_cells.MISMATCH),
    ),
    "optimality": Result(
        "The attacks that measured the distances",
        "Optimality is 1 for an attack that finds every distance of the envelope, the smallest of "
        "all, and 0 for one that flips nothing; nearest is the share of samples for which no other "
        "attack found a smaller distance. Of the samples that a network has right; mean over "
        "networks, lowest in brackets.",
        ("optimality",),
        lambda finished: finished.optimality,
        lambda finished: optimality_cells(finished.optimality, finished.study),
    ),
    "thin_ice": Result(
        "The thin-ice table",
        "How many samples are in each set, the median distance of each to the boundary that "
        "matters, and the AUROC of distance for the lost and for the rescued against the kept. The "
        "dense network is the other's ancestor if that was made from it. Networks that were pruned "
        "before or during training have none of their own: they are compared with their "
        "counterpart, the dense network of the same architecture, objective and seed.",
        ("thin_ice",),
        lambda finished: finished.thin_ice,
        lambda finished: ice_cells(finished.thin_ice),
    ),
    "thickness": Result(
        "The ice thickness",
        "The largest distance at which a fit of the chance to be lost that never rises with "
        "distance exceeds a share; 0 where it does so nowhere. Intervals: at each end the wider of "
        "the bootstrap's and an exact bound's.",
        ("thickness",),
        *_of("thickness", more_cells.THICKNESS),
    ),
    "predictors": Result(
        "Predictors of loss",
        "Distance, its rivals and its control. By chance: the average precision of guessing. "
        "Mann-Whitney tests are adjusted by Benjamini and Yekutieli over all rows of a run with "
        "enough samples. Gain of distance: its AUROC minus the predictor's, with a paired "
        "bootstrap interval over samples.",
        ("predictors",),
        *_of("predictors", more_cells.PREDICTORS),
    ),
    "joint": Result(
        "What distance adds to all rivals together",
        "A logistic regression of being lost on the rivals, without and with distance: AUROCs by "
        "cross-validation on the same folds, and a likelihood-ratio test of distance. A dash: too "
        "few lost or kept samples for a model.",
        ("joint",),
        *_of("joint", more_cells.JOINT),
    ),
    "classes": Result(
        "Classes",
        "Lost, of the samples of a class that the dense network has right, with Wilson's interval; "
        "Fisher's exact test of the class against the others, adjusted over a run's rows.",
        ("classes",),
        *_of("classes", more_cells.CLASSES),
    ),
    "pies": Result(
        "Pruning-identified exemplars (PIEs)",
        "Samples for which the most frequent prediction of the dense networks and that of the "
        "pruned ones differ, over seeds; distances are means over seeds on the dense networks.",
        ("pies",),
        *_of("pies", more_cells.PIES),
    ),
    "overlap": Result(
        "Overlap of lost sets",
        "Two networks compared with the same dense one. By chance: were both sets drawn at random "
        "from the samples that the dense network has right.",
        ("overlap",),
        *_of("overlap", more_cells.OVERLAP),
    ),
    "movement": Result(
        "Movement of the boundary",
        "Change: signed distance on the other network minus that on the dense one, by set of clean "
        "correctness, of samples with a found distance on both; at ∞: on one none was found. "
        "Intervals of the median are the sign test's; fewer than six samples have none. Closer: "
        "the share whose signed distance fell, all of the lost and none of the rescued, since the "
        "sets are chosen by the outcome. The controls' sets are chosen in the same way: compare "
        "with them.",
        ("movement",),
        *_of("movement", more_cells.MOVEMENT),
    ),
    "sizes": Result(
        "What sparsity is worth",
        "Every share is of the dense network's number. ≠ 0: without zeros, which saves work only "
        "where they are skipped. Compact: without the channels that are read through zeros alone; "
        "its logits are the same. Bytes of a file of the network alone: sparse, each tensor with a "
        "bit or a gap a value where that is smaller; compact, smaller tensors; stored, both. "
        "Groups emptied: channels that stand or fall together of which none is alive; such a "
        "layer passes nothing on.",
        ("sizes",),
        *_of("sizes", SIZES),
    ),
}


def tabled(name: str, finished: Finished, folder: Path) -> Tabled:
    """Write a result table's CSV, Markdown and LaTeX into ``folder``."""
    result = RESULTS[name]
    cells = result.cells(finished)
    stem = folder / f"{PREFIX}{name}"
    csv = partial(result.rows(finished).to_csv, index=False, float_format="%.6g")
    texts = {".csv": csv(), ".md": markdown(*cells), ".tex": latex(*cells)}
    for suffix, text in texts.items():
        write_text(stem.with_suffix(suffix), text)
    return Tabled(name, result, cells, tuple(stem.with_suffix(suffix) for suffix in texts))

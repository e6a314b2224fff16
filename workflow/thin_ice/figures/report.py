"""The report of a study: figures, the tables behind them, and one HTML page that holds it all."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from os.path import relpath
from pathlib import Path
from typing import Any

import jinja2
import yaml

from thin_ice.figures.caveats import caveats, too_robust_curves, unsound
from thin_ice.figures.drawing import show_all
from thin_ice.figures.finished import Finished
from thin_ice.figures.gallery import EXHIBITS, Shown
from thin_ice.figures.indicator_cells import legend
from thin_ice.figures.results import RESULTS, Tabled, tabled
from thin_ice.figures.what_was_run import what_was_run
from thin_ice.files import sha256, write_text

TEMPLATE = Path(__file__).with_name("report.html.j2")
RECORD = "provenance.json"
SECTIONS = {  # of the page by id: heading, and the figures and tables that it holds
    "accuracies": ("Accuracy", ("accuracy", "headline", "indicators")),
    "trained": ("Training", ("overfitting", "training")),
    "overestimates": ("Overestimate", ("overestimate", "mechanisms")),
    "preserved": ("What pruning keeps", ("preservation", "averages", "mismatch")),
    "proved": ("What is proved", ("certified", "smoothed")),
    "security-curves": ("Security curves", ("security", "optimality")),
    "ice": (
        "Thin ice",
        (
            *("twins", "densities", "distances", "loss_by_distance", "thickness", "auroc"),
            *("thin_ice", "rivals", "predictors", "joint"),
        ),
    ),
    "who": ("Who is lost", ("classes", "pies", "overlap")),
    "moved": ("Movement", ("movement",)),
    "size": ("Size", ("sizes",)),
}
NO_ROWS = "These tables have no row."


@dataclass(frozen=True)
class Artifact:
    """A file that a number came from, its digest and its record, by paths below the study."""

    path: str
    sha256: str
    record: str


@dataclass(frozen=True)
class Origin:
    """A job that numbers came from: its folder below the study, its record and the files read,
    which are (name, link) each; links are relative to the page.
    """

    folder: str
    record: str
    files: list[tuple[str, str]]


def write_report(
    finished: Finished, sources: Sequence[Path], folder: Path, root: str, processes: int = 1
) -> list[Path]:
    """Write every figure, every result table and ``report.html`` into ``folder``.

    Args:
        finished: what to show.
        sources: the files that its tables were read from; the page names their digests.
        folder: below the study's.
        root: digest of all that the tables rest on; the page prints it.
        processes: that draw, side by side.
    """
    shown = show_all(list(EXHIBITS), finished, folder, processes)
    results = [tabled(name, finished, folder) for name in RESULTS]
    files = [path for one in (*shown, *results) for path in one.files]
    artifacts = [artifact(path, folder.parent) for path in sources]
    artifacts += [artifact(path, folder.parent) for path in files]
    page = folder / "report.html"
    write_text(page, render(finished, shown, results, artifacts, root))
    return [page, *files]


def artifact(path: Path, study_folder: Path) -> Artifact:
    """A file's digest, and its record's path: `provenance.json` beside it."""
    below = [relpath(file, study_folder) for file in (path, path.with_name(RECORD))]
    return Artifact(below[0], sha256(path), below[1])


def origins(names: Sequence[str], artifacts: Sequence[Artifact]) -> list[Origin]:
    """The jobs that wrote the tables of these names, from the report's folder."""
    found: dict[str, Origin] = {}
    for one in artifacts:
        folder, file = Path(one.path).parent, Path(one.path)
        if file.stem in names and folder.name != "report":
            link = f"../{one.record}"
            origin = found.setdefault(str(folder), Origin(str(folder), link, []))
            origin.files.append((file.name, f"../{one.path}"))
    return list(found.values())


def render(
    finished: Finished,
    shown: Sequence[Shown],
    results: Sequence[Tabled],
    artifacts: Sequence[Artifact],
    root: str,
) -> str:
    """The page's HTML. Nothing in it is loaded from elsewhere."""
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["data_uri"] = _data_uri
    figures = {one.name: one for one in shown if one.drawn}
    tables = {one.name: one for one in results if one.cells[1]}
    facts: dict[str, Any] = {
        "study": finished.study,
        "run_sentences": what_was_run(finished),
        "caveats": caveats(finished),
        "legend": legend(),
        "alarms": too_robust_curves(finished.curves),
        "disproved": unsound(finished.accuracy),
        "results": tables,
        "shown": figures,
        "sections": {
            name: heading
            for name, (heading, inside) in SECTIONS.items()
            if any(one in figures or one in tables for one in inside)
        },
        "absent": _absent(shown, results),
        "origins": lambda names: origins(names, artifacts),
        "artifacts": artifacts,
        "root": root,
        "resolved": yaml.safe_dump(finished.study, sort_keys=False, allow_unicode=True),
    }
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(facts)


def _absent(shown: Sequence[Shown], results: Sequence[Tabled]) -> dict[str, list[str]]:
    """The titles of what has nothing to show, by the reason."""
    reasons: dict[str, list[str]] = {}
    for one in shown:
        if not one.drawn:
            reasons.setdefault(one.sentence, []).append(one.exhibit.title)
    empty = [one.result.title for one in results if not one.cells[1]]
    return reasons | ({NO_ROWS: empty} if empty else {})


def _data_uri(png: Path) -> str:
    return f"data:image/png;base64,{b64encode(png.read_bytes()).decode()}"

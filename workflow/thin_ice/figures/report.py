"""The report of a study: figures, the tables behind them, and one HTML page that holds it all."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from os.path import relpath
from pathlib import Path
from typing import Any

import jinja2
import yaml

from thin_ice.figures.caveats import caveats, too_robust_curves
from thin_ice.figures.finished import Finished
from thin_ice.figures.gallery import EXHIBITS, Shown, show
from thin_ice.figures.headline import headline_cells, headline_table, markdown
from thin_ice.figures.ice_cells import ice_cells
from thin_ice.figures.indicator_cells import indicator_cells, legend
from thin_ice.figures.mechanisms import mechanism_cells
from thin_ice.figures.optimality_cells import optimality_cells
from thin_ice.figures.what_was_run import what_was_run
from thin_ice.files import sha256, write_text

TEMPLATE = Path(__file__).with_name("report.html.j2")
OPEN_ROWS = 60  # a longer table is folded


@dataclass(frozen=True)
class Artifact:
    """A file that a number came from, its digest and its record, by paths below the study."""

    path: str
    sha256: str
    record: str


def write_report(
    finished: Finished, sources: Sequence[Path], folder: Path, root: str
) -> list[Path]:
    """Write every figure, ``accuracy.md`` and ``report.html`` into ``folder``.

    Args:
        finished: what to show.
        sources: the files that its tables were read from; the page names their digests.
        folder: below the study's.
        root: digest of all that the tables rest on; the page prints it.
    """
    shown = [show(name, finished, folder) for name in EXHIBITS]
    headline = headline_cells(headline_table(finished.accuracy, finished.class_counts))
    page, table = folder / "report.html", folder / "accuracy.md"
    write_text(table, markdown(*headline))
    files = [path for one in shown for path in one.files]
    artifacts = [artifact(path, folder.parent) for path in (*sources, *files, table)]
    write_text(page, render(finished, shown, headline, artifacts, root))
    return [page, *files, table]


def artifact(path: Path, study_folder: Path) -> Artifact:
    """A file's digest, and its record's path: `provenance.json` beside it."""
    below = [relpath(file, study_folder) for file in (path, path.with_name("provenance.json"))]
    return Artifact(below[0], sha256(path), below[1])


def render(
    finished: Finished,
    shown: Sequence[Shown],
    headline: tuple[list[str], list[list[str]]],
    artifacts: Sequence[Artifact],
    root: str,
) -> str:
    """The page's HTML. Nothing in it is loaded from elsewhere."""
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["data_uri"] = _data_uri
    ice = ice_cells(finished.thin_ice)
    mechanisms = mechanism_cells(finished.overestimate)
    facts: dict[str, Any] = {
        "study": finished.study,
        "run_sentences": what_was_run(finished),
        "caveats": caveats(finished),
        "headline": headline,
        "legend": legend(),
        "indicators": indicator_cells(finished.accuracy),
        "alarms": too_robust_curves(finished.curves),
        "optimality": optimality_cells(finished.optimality, finished.study),
        "ice": ice,
        "ice_open": len(ice[1]) <= OPEN_ROWS,
        "mechanisms": mechanisms,
        "mechanisms_open": len(mechanisms[1]) <= OPEN_ROWS,
        "shown": shown,
        "artifacts": artifacts,
        "root": root,
        "resolved": yaml.safe_dump(finished.study, sort_keys=False, allow_unicode=True),
    }
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(facts)


def _data_uri(png: Path) -> str:
    return f"data:image/png;base64,{b64encode(png.read_bytes()).decode()}"

"""Which study a results folder is held against."""

import argparse
from pathlib import Path

import yaml

from thin_ice.errors import ThinIceError
from thin_ice.study.load import study_from_file
from thin_ice.study.plan import Study

CHECKOUT = Path(__file__).resolve().parents[3]
DEFAULT = "config.yaml"
SAVED = "study/study.yaml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The two arguments of whoever calls `results_and_study`."""
    parser.add_argument(
        "results", type=Path, nargs="?", help="a study's folder; default: results/ of --study"
    )
    parser.add_argument(
        "--study",
        type=Path,
        help="the present study; default: the one among config.yaml and workflow/studies/ that "
        "has the folder's name, else the copy that was saved with the results",
    )


def results_and_study(options: argparse.Namespace) -> tuple[Path, Study, Path]:
    """The folder of results, the present study and the file that it was read from.

    The datasets of the study need not be here.

    Raises:
        BadStudy: the study's file is broken.
        ThinIceError: no study is to be found.
    """
    file = options.study
    if file is None:
        file = _study_of(options.results) if options.results else _here(DEFAULT)
    study = study_from_file(file, with_data=False)
    return options.results or Path(study.folder), study, file


def _study_of(results: Path) -> Path:
    name = results.resolve().name
    for path in [_here(DEFAULT), *sorted((CHECKOUT / "workflow/studies").glob("*.yaml"))]:
        if path.is_file() and _name_in(path) == name:
            return path
    if (results / SAVED).is_file():
        return results / SAVED
    raise ThinIceError(f"no study named {name} is known here; name its file with --study")


def _here(name: str) -> Path:
    """A file of the working folder, else of the checkout."""
    return Path(name) if Path(name).is_file() else CHECKOUT / name


def _name_in(path: Path) -> str | None:
    try:
        study = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None
    return study.get("name") if isinstance(study, dict) else None

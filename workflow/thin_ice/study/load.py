"""Read a study: YAML or what Snakemake made of it, checked before anything runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from thin_ice.study.checks import check
from thin_ice.study.plan import Study
from thin_ice.study.resolve import resolve
from thin_ice.study.schema import BadStudy, check_schema


def study_from(raw: Any, with_data: bool = True) -> Study:
    """The study that a mapping describes; ``with_data``: its datasets must be on this machine.

    Raises:
        BadStudy: with one sentence that names the key, the value and what is allowed.
    """
    if not isinstance(raw, Mapping):
        raise BadStudy("", f"{raw!r} is not a mapping of keys")
    check_schema(raw)
    resolved = resolve(raw)
    check(resolved, with_data)
    return Study(resolved)


def study_from_file(path: str | Path, with_data: bool = True) -> Study:
    """The study in a YAML file. Raises `BadStudy` as `study_from`, which names the file too, also
    for broken YAML.
    """
    try:
        raw = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadStudy("", f"cannot read {path}: {error}") from None
    try:
        return study_from(raw, with_data)
    except BadStudy as error:
        raise BadStudy(error.key, error.problem, path) from None

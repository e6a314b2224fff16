"""A job as a study plans it: what the record of a finished job is held against."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

RECORD = "provenance.json"


@dataclass(frozen=True)
class PlannedJob:
    """One job of a study.

    Attributes:
        stage: the command that it runs, which is also the name of its rule.
        folder: where its record and outputs go, below the study's folder.
        text: the canonical JSON of the job.
        inputs: argument of the command to the files it gets, below the study's folder.
        sources: files from outside the study that the command reads: the name that records give
            a file, and where it lies on this machine. Those that are not there are left out.
    """

    stage: str
    folder: str
    text: str
    inputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sources: Mapping[str, Path] = field(default_factory=dict)

    @property
    def record(self) -> str:
        """Below the study's folder."""
        return f"{self.folder}/{RECORD}"

    @cached_property
    def job(self) -> dict:
        return json.loads(self.text)

    @property
    def files(self) -> tuple[str, ...]:
        """Every input from the study."""
        return tuple(file for files in self.inputs.values() for file in files)

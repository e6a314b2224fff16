"""What a command gets: its parameters, its input files, a folder to write into, a device."""

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from thin_ice.errors import ThinIceError


@dataclass(frozen=True)
class Job:
    """One run of one stage.

    Attributes:
        text: canonical JSON, as the rule has it.
        inputs: files by the name of the argument that gave them.
        record: where the record goes; outputs go beside it.
        identity: names the result: digest of the text and of the contents of the inputs.
        threads: that the job may use on the CPU.
        facts: filled by the stage, for the record.
        sources: filled by the stage: files that it read from outside the study, by name.
    """

    text: str
    inputs: dict[str, list[Path]]
    record: Path
    identity: str
    device: str = "cpu"
    threads: int = 1
    facts: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, Path] = field(default_factory=dict)

    @cached_property
    def description(self) -> dict:
        return json.loads(self.text)

    @property
    def parameters(self) -> dict:
        return self.description["parameters"]

    @property
    def folder(self) -> Path:
        """Where outputs go, beside the record."""
        return self.record.parent

    def input(self, name: str) -> Path:
        """The single file of an argument."""
        return self.inputs[name][0]

    @property
    def state(self) -> Path:
        """Where the job keeps its state while it runs; removed when its record is written."""
        return self.folder / ".checkpoint.safetensors"


def parse_job(text: str, stage: str) -> dict:
    """The job's JSON, checked to be one and to be for this stage."""
    try:
        description = json.loads(text)
    except json.JSONDecodeError as error:
        raise ThinIceError(f"--job is not JSON: {error}") from None
    keys = {"stage", "parameters", "code"}
    if not isinstance(description, dict) or set(description) - {"software"} != keys:
        raise ThinIceError("--job must be an object with stage, parameters and code")
    code = description["code"]
    if not isinstance(code, dict) or set(code) != {"modules", "sha256"}:
        raise ThinIceError("the code of --job must be an object with modules and sha256")
    if description["stage"] != stage:
        raise ThinIceError(f"--job is for stage {description['stage']!r}, not {stage!r}")
    return description

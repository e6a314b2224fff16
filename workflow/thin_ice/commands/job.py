"""What a command gets: its parameters, its input files, a folder to write into, a device."""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from thin_ice.errors import ThinIceError
from thin_ice.provenance.materials import Material, material


@dataclass(frozen=True)
class Job:
    """One run of one stage. ``inputs``: files by the name of the argument that gave them."""

    text: str  # canonical JSON, as the rule has it
    inputs: dict[str, list[Path]]
    record: Path
    device: str = "cpu"
    facts: dict[str, Any] = field(default_factory=dict)  # for the record
    sources: dict[str, Path] = field(default_factory=dict)  # read from outside the study, by name

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

    def all_inputs(self) -> list[Path]:
        return [path for paths in self.inputs.values() for path in paths]

    @cached_property
    def materials(self) -> list[Material]:
        """The inputs, described. Raises `FalseInput` for one that its record belies."""
        return [material(path) for path in self.all_inputs()]

    @cached_property
    def identity(self) -> str:
        """Names the result: digest of the parameters, the code and the contents of the inputs."""
        contents = [one.sha256 for one in self.materials]
        return hashlib.sha256("\n".join([self.text, *contents]).encode()).hexdigest()

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
    if not isinstance(description, dict) or set(description) != {"stage", "parameters", "code"}:
        raise ThinIceError("--job must be an object with stage, parameters and code")
    code = description["code"]
    if not isinstance(code, dict) or set(code) != {"modules", "sha256"}:
        raise ThinIceError("the code of --job must be an object with modules and sha256")
    if description["stage"] != stage:
        raise ThinIceError(f"--job is for stage {description['stage']!r}, not {stage!r}")
    return description

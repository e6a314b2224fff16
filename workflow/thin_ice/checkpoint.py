"""Checkpoints of running jobs: everything that decides the future, in one safetensors file.

A checkpoint lives beside a job's outputs but is none of them (Snakemake deletes the declared
outputs of a killed job), and is removed when the job is done. It carries the identity of the
job it belongs to; one of another job is ignored.
"""

import json
import logging
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from thin_ice.tensors import write_tensors

log = logging.getLogger("thin_ice")

Groups = dict[str, dict[str, Tensor]]  # e.g. {"model": {...}, "optimizer": {...}}


@dataclass(frozen=True)
class Checkpoint:
    """A place for a job's state. ``identity`` names the job: same identity, same result."""

    path: Path
    identity: str

    def save(self, groups: Groups, facts: dict) -> None:
        """Write groups of tensors and a JSON value of facts, whole or not at all."""
        tensors = {
            f"{group}|{name}": tensor.detach().to("cpu", copy=True).contiguous()
            for group, members in groups.items()
            for name, tensor in members.items()
        }
        metadata = {"identity": self.identity, "facts": json.dumps(facts)}
        write_tensors(self.path, save(tensors), metadata)

    def load(self) -> tuple[Groups, dict] | None:
        """The state last saved by this very job, or None."""
        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, "pt") as file:
                metadata = file.metadata() or {}
                groups = _grouped({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
        except SafetensorError as error:
            log.warning("ignoring an unreadable checkpoint, %s: %s", self.path, error)
            return None
        if metadata.get("identity") != self.identity:
            log.warning("ignoring a checkpoint of another job: %s", self.path)
            return None
        return groups, json.loads(metadata["facts"])


def _grouped(tensors: dict[str, Tensor]) -> Groups:
    groups: Groups = {}
    for key, tensor in tensors.items():
        group, _, name = key.partition("|")
        groups.setdefault(group, {})[name] = tensor
    return groups

"""Which network: the entry of the table, its options, what it takes and gives. Plain data.

An `Architecture` is all that is needed to build the network again; it travels as JSON in the
metadata of every model artifact.
"""

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import nn

from thin_ice import tables
from thin_ice.errors import ModelError
from thin_ice.files import canonical_json
from thin_ice.models.normalize import Normalized

# Until the statistics of the training images are set (Normalized.set_statistics).
NORMALIZE_MEAN = 0.5
NORMALIZE_STD = 0.5


@dataclass(frozen=True)
class Architecture:
    """A network without its weights."""

    kind: str  # a name in tables.ARCHITECTURES
    options: dict[str, Any]  # fields of that entry's class; those left out have its defaults
    input_shape: tuple[int, int, int]  # channels, height, width
    classes: int  # number of logits
    normalize: bool  # normalise images inside the model

    def build(self, seed: int) -> nn.Module:
        """Make the network on the CPU with weights drawn from ``seed``, in train mode.

        The same seed gives the same weights; the caller's random state is left as it was.

        Raises:
            ValueError: unknown kind or options, or an input shape that the network cannot take.
        """
        with torch.device("cpu"), torch.random.fork_rng(devices=[]):
            # Not torch.manual_seed: it would reseed the accelerators too, which are not forked.
            torch.default_generator.manual_seed(seed)
            return self._assemble()

    def build_empty(self) -> nn.Module:
        """Make the network on the meta device: names and shapes, no memory, no weights.

        Raises:
            ValueError: as `build`.
        """
        with torch.device("meta"):
            return self._assemble()

    def to_json(self) -> str:
        """One text for one architecture: sorted keys, no blanks."""
        return canonical_json(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Architecture":
        """Read what `to_json` wrote.

        Raises:
            ValueError: not JSON, or not an object with exactly the fields of an architecture.
        """
        values = json.loads(text)
        names = sorted(field.name for field in fields(cls))
        if not isinstance(values, dict) or sorted(values) != names:
            raise ModelError(f"not an architecture: {text}; expected an object with {names}")
        return cls(**values | {"input_shape": tuple(values["input_shape"])})

    def _assemble(self) -> nn.Module:
        network = self._options().build(self.input_shape, self.classes)
        if not self.normalize:
            return network
        channels = self.input_shape[0]
        return Normalized(network, [NORMALIZE_MEAN] * channels, [NORMALIZE_STD] * channels)

    def _options(self) -> Any:
        if self.kind not in tables.ARCHITECTURES:
            known = ", ".join(sorted(tables.ARCHITECTURES))
            raise ModelError(f"unknown architecture {self.kind!r}, allowed are {known}")
        options = tables.load("architectures", self.kind)
        known = [field.name for field in fields(options)]
        if unknown := sorted(set(self.options) - set(known)):
            raise ModelError(f"{self.kind}: unknown options {unknown}, allowed are {known}")
        return options(**self.options)

"""Adversarial examples that were found, stored so that anybody can look at them again.

One safetensors file: ``sample_id`` int64 (B,), ``images`` float32 (B, C, H, W) in [0, 1], and what
they belong to in the metadata, as text.
"""

from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from thin_ice.errors import ThinIceError
from thin_ice.tensors import write_tensors

FORMAT = "thin-ice-examples-1"


@dataclass(frozen=True, eq=False)
class Examples:
    """``ids`` int64 (B,) and ``images`` float32 (B, C, H, W)."""

    ids: Tensor
    images: Tensor

    def head(self, count: int) -> "Examples":
        return Examples(self.ids[:count], self.images[:count])


def write_examples(path: Path, examples: Examples, about: dict[str, str]) -> None:
    """Write examples, whole or not at all; the bytes depend on the contents only."""
    tensors = {"sample_id": examples.ids, "images": examples.images}
    plain = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    write_tensors(path, save(plain), {"format": FORMAT} | about)


def read_examples(path: Path) -> tuple[Examples, dict[str, str]]:
    """The examples of a file, and what it says they belong to.

    Raises:
        ThinIceError: the file is damaged or holds something else.
    """
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata() or {}
            if about.pop("format", None) != FORMAT:
                raise ThinIceError(f"{path} is no file of examples; allowed: format {FORMAT}")
            examples = Examples(file.get_tensor("sample_id"), file.get_tensor("images"))
    except SafetensorError as error:
        raise ThinIceError(f"{path} is no readable file of examples: {error}") from None
    return examples, about

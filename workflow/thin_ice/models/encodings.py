"""How a tensor with zeros is written: its values that are not zero, and where they stand.

    dense    every value
    bits     one bit a place (lowest bit first), and the values
    gaps     one byte a value: how many zeros stand before it; 255 zeros and no value where more do
             (Han, Mao & Dally, "Deep Compression", ICLR 2016, whose filler is a zero of its own)

Exact, but for the sign of zeros: a product with a mask leaves -0.0, and +0.0 is read back.
"""

import math

import numpy as np
import torch
from torch import Tensor

from thin_ice.errors import ModelError

DENSE, VALUES = "dense", "values"
SKIP = 255  # the byte that counts as many zeros and stands for no value
ENTRY_BYTES = 100  # about what one more tensor costs in the header of a safetensors file


def encode(tensor: Tensor) -> dict[str, Tensor]:
    """The parts of a tensor by kind, in that of the encodings which takes fewest bytes.

    ``{"dense": tensor}``, or ``values`` (n,) with ``bits`` or ``gaps``, uint8.
    """
    flat = tensor.detach().cpu().flatten()
    where = (flat != 0).numpy()  # NaN is a value too
    values = {VALUES: flat[torch.from_numpy(where)]}
    candidates = [
        {DENSE: tensor.detach().cpu().contiguous()},
        values | {"bits": torch.from_numpy(np.packbits(where, bitorder="little"))},
        values | {"gaps": torch.from_numpy(_gaps(where))},
    ]
    return min(candidates, key=_bytes)


def decode(parts: dict[str, Tensor], shape: tuple[int, ...]) -> Tensor:
    """The tensor of ``shape`` that `encode` took apart; ``shape`` is not asked of a dense one.

    Raises:
        ModelError: the parts are not those of one encoding, or do not fit each other.
    """
    kinds = set(parts)
    if kinds == {DENSE}:
        return parts[DENSE]
    if kinds not in ({VALUES, "bits"}, {VALUES, "gaps"}):
        raise ModelError(
            f"is stored as {sorted(kinds)}, allowed are dense, or values and one of bits and gaps"
        )
    size, values = math.prod(shape), parts[VALUES]
    code = parts.get("bits", parts.get("gaps"))
    if code.dtype != torch.uint8:
        raise ModelError(f"has places of {code.dtype}, allowed is torch.uint8")
    if "bits" in parts and len(code) != math.ceil(size / 8):
        raise ModelError(f"has {len(code)} bytes of bits for {size} places, which do not fit")
    places = (_places_of_bits if "bits" in parts else _places_of_gaps)(code.numpy(), size)
    if len(places) != len(values) or (len(places) and places[-1] >= size):
        raise ModelError(
            f"has {len(values)} values for {len(places)} places of {size}, which do not fit"
        )
    flat = torch.zeros(size, dtype=values.dtype)
    flat[torch.from_numpy(places)] = values
    return flat.view(shape)


def _bytes(parts: dict[str, Tensor]) -> int:
    return sum(part.numel() * part.element_size() + ENTRY_BYTES for part in parts.values())


def _gaps(where: np.ndarray) -> np.ndarray:
    """One byte a value, more where `SKIP` zeros or more stand before it."""
    zeros = np.diff(np.flatnonzero(where), prepend=-1) - 1
    skips, rest = np.divmod(zeros, SKIP)
    code = np.full(len(zeros) + skips.sum(), SKIP, dtype=np.uint8)
    code[np.cumsum(skips + 1) - 1] = rest
    return code


def _places_of_gaps(code: np.ndarray, _size: int) -> np.ndarray:
    is_value = code != SKIP
    return (np.cumsum(code + is_value.astype(np.int64)) - 1)[is_value]


def _places_of_bits(code: np.ndarray, size: int) -> np.ndarray:
    return np.flatnonzero(np.unpackbits(code, count=size, bitorder="little"))

"""Named random streams: a seed follows from names, so no stream depends on another's history.

A job that resumes at epoch 17 draws what an uninterrupted one drew there, without any saved
generator state.
"""

import hashlib

import torch


def seed_from(*names: str | int) -> int:
    """A 63-bit seed from the names of a stream, e.g. ``seed_from(0, "dense", epoch, step)``."""
    digest = hashlib.sha256("/".join(str(name) for name in names).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(device: torch.device | str, *names: str | int) -> torch.Generator:
    """A generator on ``device`` at the beginning of the named stream."""
    return torch.Generator(device=device).manual_seed(seed_from(*names))

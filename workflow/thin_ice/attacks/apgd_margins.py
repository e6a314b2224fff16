"""How near each sample came to being broken: the smallest logit margin at APGD's best points.

The package keeps, per run of APGD, the point of highest loss in the ball and gives it away only
where it is adversarial. Here its method `attack_single_run` is watched: same calls, same results,
and one more forward pass a run, without touching the random numbers that the next run draws.
"""

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from thin_ice.attacks.minimum_norm import margin

Key = tuple[bytes, int]


class SmallestMargins:
    """Collects margins by image and label; samples that share both share the value."""

    def __init__(self, model: nn.Module, images: Tensor, labels: Tensor) -> None:
        """``images``: the float images (N, C, H, W) that the attack will be given, and labels."""
        keys = _keys(images, labels)
        self._model = model
        self._place = {key: place for place, key in enumerate(dict.fromkeys(keys))}
        self._of_sample = self._places(keys, images.device)
        self._smallest = images.new_full((len(self._place),), math.inf)

    @contextmanager
    def watching(self, apgd: Any) -> Iterator[None]:
        """See every run of the package's APGD object while the context lasts."""
        run = apgd.attack_single_run

        def watched(x: Tensor, y: Tensor, x_init: Tensor | None = None) -> tuple:
            result = run(x, y, x_init=x_init)
            if apgd.eps <= apgd.eps_orig:  # large repetitions begin outside the ball
                self._see(x, y, result[0])
            return result

        apgd.attack_single_run = watched
        try:
            yield
        finally:
            del apgd.attack_single_run

    def of_samples(self) -> Tensor:
        """Float32 (N,): the smallest margin seen, NaN for a sample that no run was given."""
        smallest = self._smallest[self._of_sample]
        return smallest.where(smallest.isfinite(), math.nan)

    @torch.no_grad()
    def _see(self, clean: Tensor, labels: Tensor, best: Tensor) -> None:
        devices = [clean.device] if clean.is_cuda else []
        with torch.random.fork_rng(devices):  # a randomised network draws here too
            logits = self._model(best)
        places = self._places(_keys(clean, labels), clean.device)
        self._smallest.scatter_reduce_(0, places, margin(logits, labels), "amin")

    def _places(self, keys: list[Key], device: torch.device) -> Tensor:
        return torch.tensor([self._place[key] for key in keys], device=device, dtype=torch.long)


def _keys(images: Tensor, labels: Tensor) -> list[Key]:
    digests = (hashlib.sha256(image.tobytes()).digest() for image in images.cpu().numpy())
    return list(zip(digests, labels.tolist(), strict=True))

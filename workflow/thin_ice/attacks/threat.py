"""Threat models: the ball of perturbations an attacker may use, and the box of valid images."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


def per_sample(values: Tensor, like: Tensor) -> Tensor:
    """View one value a sample, shape (N,), so that it broadcasts over images (N, C, H, W)."""
    return values.view(-1, *[1] * (like.dim() - 1))


@dataclass(frozen=True)
class ThreatModel:
    """All images in [0, 1] within ``eps`` of the clean one in ``norm``.

    ``eps`` is in units of the [0, 1] image scale: 8/255, not 8.
    """

    norm: Literal["Linf", "L2"]
    eps: float

    def project(self, images: Tensor, clean: Tensor) -> Tensor:
        """The nearest point of the ball, then of the box, for each image."""
        delta = images - clean
        if self.norm == "Linf":
            delta = delta.clamp(-self.eps, self.eps)
        else:
            length = delta.flatten(1).norm(dim=1).clamp_min(1e-12)
            delta = delta * per_sample((self.eps / length).clamp_max(1), delta)
        return (clean + delta).clamp(0, 1)

    def steepest(self, gradient: Tensor) -> Tensor:
        """The direction of unit length in ``norm`` along which a linear loss grows fastest."""
        if self.norm == "Linf":
            return gradient.sign()
        return gradient / per_sample(gradient.flatten(1).norm(dim=1).clamp_min(1e-12), gradient)

    def random_start(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """A point drawn uniformly from the ball, clipped to the box."""
        noise = torch.empty_like(clean)
        if self.norm == "Linf":
            noise.uniform_(-self.eps, self.eps, generator=generator)
            return (clean + noise).clamp(0, 1)
        noise.normal_(generator=generator)
        radius = torch.empty(len(clean), device=clean.device).uniform_(generator=generator)
        radius = self.eps * radius.pow(1 / clean[0].numel())
        return (clean + self.steepest(noise) * per_sample(radius, clean)).clamp(0, 1)

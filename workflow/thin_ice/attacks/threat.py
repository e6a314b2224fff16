"""Threat models: the ball of perturbations an attacker may use, and the box of valid images."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

SPARSE_SHARE = 0.01  # of an image's values that a step in L1 moves, at least one


def per_sample(values: Tensor, like: Tensor) -> Tensor:
    """View one value a sample, shape (N,), so that it broadcasts over images (N, C, H, W)."""
    return values.view(-1, *[1] * (like.dim() - 1))


@dataclass(frozen=True)
class ThreatModel:
    """All images in [0, 1] within ``eps`` of the clean one in ``norm``.

    ``eps`` is in units of the [0, 1] image scale: 8/255, not 8.
    """

    norm: Literal["Linf", "L2", "L1"]
    eps: float

    def size(self, delta: Tensor) -> Tensor:
        """Length of each perturbation, (N, C, H, W), in the norm: (N,)."""
        order = {"Linf": math.inf, "L2": 2, "L1": 1}[self.norm]
        return torch.linalg.vector_norm(delta.flatten(1), order, dim=1)

    def project(self, images: Tensor, clean: Tensor) -> Tensor:
        """The nearest point of the ball, then of the box, for each image; in L1 the nearest of
        both, since clipping an L1 projection to the box would give away part of eps.
        """
        delta = images - clean  # of our own, so what follows may work in place
        if self.norm == "L1":
            return (clean + l1_box_projection(delta, clean, self.eps)).clamp(0, 1)
        if self.norm == "Linf":
            delta.clamp_(-self.eps, self.eps)
        else:
            length = delta.flatten(1).norm(dim=1).clamp_min(1e-12)
            delta *= per_sample((self.eps / length).clamp_max(1), delta)
        return delta.add_(clean).clamp_(0, 1)

    def steepest(self, gradient: Tensor) -> Tensor:
        """The direction of unit length in ``norm`` along which a linear loss grows fastest; a new
        tensor.

        In L1 that is a single value, too few for a step; the sign of the hundredth with the
        largest gradients is taken instead (sparse l1 descent, Tramèr and Boneh 2019).
        """
        if self.norm == "Linf":
            return gradient.sign()
        if self.norm == "L1":
            return _sparse_sign(gradient)
        return gradient / per_sample(gradient.flatten(1).norm(dim=1).clamp_min(1e-12), gradient)

    def random_start(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """A point drawn uniformly from the ball, clipped to the box."""
        noise = torch.empty_like(clean)
        if self.norm == "Linf":
            noise.uniform_(-self.eps, self.eps, generator=generator)
            return (clean + noise).clamp(0, 1)
        noise.normal_(generator=generator)
        radius = torch.empty(len(clean), device=clean.device)
        if self.norm == "L1":
            return (clean + _in_l1_ball(noise, radius, self.eps, generator)).clamp(0, 1)
        radius = self.eps * radius.uniform_(generator=generator).pow(1 / clean[0].numel())
        return (clean + self.steepest(noise) * per_sample(radius, clean)).clamp(0, 1)


def l1_box_projection(delta: Tensor, clean: Tensor, eps: float) -> Tensor:
    """The nearest perturbation to ``delta`` with an L1 norm of at most ``eps`` that keeps
    ``clean`` in [0, 1] (Croce and Hein 2021, Mind the box).

    With room b for a value to move in its direction, it is sign(d) clip(|d| - t, 0, b), and its
    norm falls piecewise linearly in the threshold t >= 0, with a knot where a value leaves zero,
    |d|, and where it meets the box, |d| - b. So the knots are sorted and t is interpolated.
    """
    flat, start = delta.flatten(1), clean.flatten(1)
    size = flat.abs()
    room = torch.where(flat > 0, 1 - start, start).clamp_min(0)
    zero = size.new_zeros(len(size), 1)
    knots = torch.cat([size, (size - room).clamp_min(0), zero], 1)
    slopes = torch.cat([torch.ones_like(size), -torch.ones_like(size), zero], 1)
    knots, order = knots.sort(dim=1, descending=True)
    moving = slopes.gather(1, order).cumsum(1)[:, :-1]  # values strictly inside between two knots
    norms = (moving * (knots[:, :-1] - knots[:, 1:])).cumsum(1)
    last = norms.shape[1] - 1
    first = (norms < eps).sum(1, keepdim=True).clamp_max(last)  # the norm reaches eps below it
    excess = (norms.gather(1, first) - eps).clamp_min(0)
    threshold = knots.gather(1, first + 1) + excess / moving.gather(1, first).clamp_min(1)
    inside = torch.minimum((size - threshold).clamp_min(0), room)
    return (flat.sign() * inside).view_as(delta)


def _sparse_sign(gradient: Tensor) -> Tensor:
    flat = gradient.flatten(1)
    kept = max(1, round(SPARSE_SHARE * flat.shape[1]))
    places = flat.abs().topk(kept, dim=1).indices
    signs = torch.zeros_like(flat).scatter(1, places, flat.gather(1, places).sign())
    return (signs / signs.abs().sum(1, keepdim=True).clamp_min(1)).view_as(gradient)


def _in_l1_ball(noise: Tensor, radius: Tensor, eps: float, generator: torch.Generator) -> Tensor:
    """Uniform in the L1 ball: exponential values over their sum and one more, signs at random."""
    signs = noise.sign()
    sizes = noise.exponential_(generator=generator)
    total = sizes.flatten(1).sum(1) + radius.exponential_(generator=generator)
    return signs * sizes * per_sample(eps / total, sizes)

"""Randomized smoothing (Cohen, Rosenfeld and Kolter, ICML 2019): certificates in L2.

The smoothed classifier g(x) is the class that the network f gives most often to x + N(0, sigma^2).
CERTIFY: n0 draws choose the class A; of n fresh draws k are A; p is the one-sided Clopper-Pearson
lower bound of A's probability at confidence 1 - alpha. With p > 1/2, g is A on all of
||d||_2 < sigma Phi^-1(p), except with probability alpha (their Theorem 1); otherwise it abstains.
Noisy images are not clipped to [0, 1], since the theorem is about Gaussian noise.
Each sample has its own stream of draws, named by its id and read in chunks of a fixed size, so
that its certificate depends neither on the size of a batch nor on which samples are beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, ndtri
from torch import Tensor, nn

from thin_ice.attacks.modes import under_attack
from thin_ice.randomness import generator

CHUNK = 100  # draws of a sample at a time
ABSTAINS = -1


@dataclass(frozen=True)
class Smoothing:
    """What is certified and how surely; the published numbers are n0 = 100, n = 100,000 and
    alpha = 0.001.

    Raises:
        ValueError: a number out of its range.
    """

    sigma: float  # of the noise, on the [0, 1] image scale
    n0: int = 100  # draws that choose the class
    n: int = 100_000  # draws that bound its probability
    alpha: float = 0.001  # probability that a sample's certificate is wrong, at most

    def __post_init__(self) -> None:
        for name in ("sigma", "n0", "n"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; allowed: more than 0")
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha is {self.alpha}; allowed: more than 0 and less than 1")


@dataclass(frozen=True)
class Certificates:
    """One a sample, each field of shape (N,).

    Attributes:
        prediction: int64, of the smoothed network; -1 where it abstains.
        radius: float64, in L2; 0 where it abstains.
        chosen: int64, the class that the first n0 draws chose.
        count: int64, how many of the n draws were of that class.
    """

    prediction: NDArray
    radius: NDArray
    chosen: NDArray
    count: NDArray

    def signed(self, labels: ArrayLike) -> NDArray:
        """The radius with a minus where another class than the label is certified; float64 (N,)."""
        return np.where(self.prediction == np.asarray(labels), self.radius, -self.radius)


def certify_smoothed(
    model: nn.Module,
    images: Tensor,
    smoothing: Smoothing,
    stream: Sequence[str | int],
    ids: Sequence[int] | None = None,
    batch_size: int = 1000,
) -> Certificates:
    """Certify images (N, C, H, W) of a finished network.

    ``stream`` names the random numbers, and so do the samples' ``ids`` (by default their places).
    ``batch_size``: noisy images at a time, in whole chunks of 100.
    """
    names = [int(one) for one in (range(len(images)) if ids is None else ids)]
    together = max(1, batch_size // CHUNK)
    counts = []
    with under_attack(model):
        for first in range(0, len(images), together):
            batch = images[first : first + together]
            draws = [generator(images.device, *stream, name) for name in names[first:][:together]]
            counts.append(_counts(model, batch, smoothing, draws))
    chosen, count = torch.cat(counts, 1).cpu().numpy() if counts else np.zeros((2, 0), np.int64)
    return certificates(chosen, count, smoothing)


def certificates(chosen: NDArray, count: NDArray, smoothing: Smoothing) -> Certificates:
    """What ``count`` of n draws of the ``chosen`` class certify, both int64 (N,)."""
    lower = clopper_pearson_lower(count, smoothing.n, smoothing.alpha)
    certain = lower > 0.5
    radius = np.where(certain, smoothing.sigma * ndtri(np.where(certain, lower, 0.5)), 0.0)
    return Certificates(np.where(certain, chosen, ABSTAINS), radius, chosen, count)


def clopper_pearson_lower(count: ArrayLike, total: int, alpha: float) -> NDArray:
    """The exact one-sided lower bound of a probability at confidence 1 - alpha, from ``count``
    successes of ``total``: the alpha quantile of Beta(k, n - k + 1); 0 without a success.
    """
    count = np.asarray(count, float)
    bound = betaincinv(np.maximum(count, 1), total - np.maximum(count, 1) + 1, alpha)
    return np.where(count > 0, bound, 0.0)


def certified_curve(radius_signed: ArrayLike, radii: ArrayLike) -> NDArray:
    """Share of samples whose right class is certified on balls of each of these radii.

    ``radius_signed`` (N,) as `Certificates.signed` has it. A certificate holds within its radius,
    the sphere itself excluded, so a sample counts while its radius is larger.
    """
    certified = np.asarray(radius_signed)[:, None] > np.asarray(radii, float)
    return certified.mean(0)


@torch.no_grad()
def _counts(
    model: nn.Module, images: Tensor, smoothing: Smoothing, draws: list[torch.Generator]
) -> Tensor:
    """The class chosen for each image and how often fresh draws gave it, as (2, N)."""
    chosen = _votes(model, images, smoothing.sigma, smoothing.n0, draws).argmax(1)
    votes = _votes(model, images, smoothing.sigma, smoothing.n, draws)
    return torch.stack([chosen, votes.gather(1, chosen[:, None]).squeeze(1)])


def _votes(
    model: nn.Module, images: Tensor, sigma: float, number: int, draws: list[torch.Generator]
) -> Tensor:
    """How many of ``number`` draws of noise each class got of each image, int64 (N, classes)."""
    votes = torch.zeros((), dtype=torch.int64, device=images.device)
    for done in range(0, number, CHUNK):
        noise = images.new_empty(len(images), min(CHUNK, number - done), *images.shape[1:])
        for mine, stream in zip(noise, draws, strict=True):
            mine.normal_(generator=stream)
        logits = model((images[:, None] + sigma * noise).flatten(0, 1))
        shape = (len(images), -1, logits.shape[1])
        votes = votes + _one_hot(logits).view(shape).sum(1)
    return votes


def _one_hot(logits: Tensor) -> Tensor:
    """The predicted class as an indicator, int64."""
    winner = logits.argmax(1, keepdim=True)
    return torch.zeros_like(logits, dtype=torch.int64).scatter_(1, winner, 1)

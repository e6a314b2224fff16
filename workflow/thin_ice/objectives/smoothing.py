"""Training for randomized smoothing, with noise n ~ N(0, sigma^2) on each image.

``gaussian`` (Cohen et al. 2019): CE(x + n). ``stability`` (Li et al. 2019, as HYDRA trains):
CE(x) + beta KL(p(x) || p(x + n)), mean over the batch. HYDRA's sigma is 0.25, its beta that of
TRADES, 6. Noisy images are not clipped, as they are not where they are certified
(`thin_ice.verification.smoothing`). At validation an image counts as robust where the network is
right on one noisy copy; the share of such images estimates how probable the right class is.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from thin_ice.objectives.base import Goal, Loss, NoAdversary, Step, correct, correct_count
from thin_ice.objectives.trades import kl_to


@dataclass(frozen=True)
class Smoothing(NoAdversary):
    """Cross-entropy under Gaussian noise, or predictions that noise does not change."""

    sigma: float = 0.25  # of the noise, on the [0, 1] image scale
    form: Literal["stability", "gaussian"] = "stability"
    beta: float = 6.0  # weight of the stability term

    goal: ClassVar[Goal] = "smoothed"
    teacher: ClassVar[bool] = False
    limits: ClassVar[dict] = {"sigma": [0, None]}
    ranges: ClassVar[dict] = {"beta": [0, None]}

    def loss(self, model: nn.Module, images: Tensor, labels: Tensor, step: Step) -> Loss:
        noisy = self._noisy(images, step)
        if self.form == "gaussian":
            logits = model(noisy)
            return Loss(F.cross_entropy(logits, labels), correct_count(logits, labels))
        logits = model(images)
        divergence = kl_to(logits)(model(noisy)) / len(images)
        value = F.cross_entropy(logits, labels) + self.beta * divergence
        return Loss(value, correct_count(logits, labels))

    def withstands(self, model: nn.Module, images: Tensor, labels: Tensor, step: Step) -> Tensor:
        return correct(model, self._noisy(images, step), labels)

    def _noisy(self, images: Tensor, step: Step) -> Tensor:
        return images + self.sigma * torch.empty_like(images).normal_(generator=step.generator)

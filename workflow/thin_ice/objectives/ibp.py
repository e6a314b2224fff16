"""IBP, training by interval bounds (Gowal et al. 2018): kappa CE(z) + (1 - kappa) CE(-m).

z are the logits of clean images, m the interval bounds of their margins over a ball whose radius
grows from 0 to eps while kappa falls from 1 to a half. Schedules are those of the released code for
CIFAR-10: 5,000 steps of warm-up with the cross-entropy alone, then 50,000 of ramp, of 100,000;
for MNIST 2,000 and 10,000 of 60,000. There the rate is 1e-3 by Adam, and falls by 10 at
half of the budget and at 90 %.
Deviation: training on a slightly larger ball than the one that is verified (10 % there) is left to
``eps``.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from thin_ice.objectives.base import Goal
from thin_ice.objectives.verified import WorstCase
from thin_ice.verification.margins import Margins


@dataclass(frozen=True)
class Ibp(WorstCase):
    """Cross-entropy of logits at their worst by interval bounds, mixed with the clean one."""

    eps: float | None = None  # radius; null: the study's
    warmup: float = 0.05  # share of the stage before the radius grows
    ramp: float = 0.5  # share of the stage in which it grows
    kappa_start: float = 1.0  # weight of the clean loss before the ramp
    kappa_end: float = 0.5  # and after it
    ramp_again: bool = False  # whether ramps run in pruning and fine-tuning too

    goal: ClassVar[Goal] = "verified"
    teacher: ClassVar[bool] = False
    bounds: ClassVar[str] = "ibp"
    limits: ClassVar[dict] = {"eps": [0, None]}
    ranges: ClassVar[dict] = {
        "warmup": [0, 1],
        "ramp": [0, 1],
        "kappa_start": [0, 1],
        "kappa_end": [0, 1],
    }

    def lower(self, margins: Margins, share: float) -> Tensor:
        return margins.lower("ibp")

"""CROWN-IBP (Zhang et al., ICLR 2020): kappa CE(z) + (1 - kappa) CE(-m),
m = beta CROWN-IBP + (1 - beta) IBP.

Linear bounds that pass back through relaxations over intervals are much tighter than intervals on
small balls and on networks that were not trained for them, which steadies the beginning. While the
radius grows from 0 to eps, beta falls from 1 to ``beta_end``; at beta = 0 only the cheap
intervals are left. Defaults are HYDRA's: the worst-case loss alone (kappa 0), beta to 0, and a ramp
over the first 60 of 100 epochs (120 of 200 for SVHN) without warm-up, with Adam at 1e-3.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from thin_ice.objectives.base import Goal
from thin_ice.objectives.verified import WorstCase, between
from thin_ice.verification.margins import Margins


@dataclass(frozen=True)
class CrownIbp(WorstCase):
    """Cross-entropy of logits at their worst, by linear bounds first and by intervals later."""

    eps: float | None = None  # radius; null: the study's
    warmup: float = 0.0  # share of the stage before the radius grows
    ramp: float = 0.6  # share of the stage in which it grows
    kappa_start: float = 0.0  # weight of the clean loss before the ramp
    kappa_end: float = 0.0  # and after it
    beta_end: float = 0.0  # weight of the linear bounds after the ramp
    ramp_again: bool = False  # whether ramps run in pruning and fine-tuning too

    goal: ClassVar[Goal] = "verified"
    teacher: ClassVar[bool] = False
    bounds: ClassVar[str] = "crown_ibp"
    limits: ClassVar[dict] = {"eps": [0, None]}
    ranges: ClassVar[dict] = {
        "warmup": [0, 1],
        "ramp": [0, 1],
        "kappa_start": [0, 1],
        "kappa_end": [0, 1],
        "beta_end": [0, 1],
    }

    def lower(self, margins: Margins, share: float) -> Tensor:
        """What has no weight is not computed."""
        beta = between(1.0, self.beta_end, share)
        if beta in (0, 1):
            return margins.lower("crown_ibp" if beta else "ibp")
        return beta * margins.lower("crown_ibp") + (1 - beta) * margins.lower("ibp")

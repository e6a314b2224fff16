"""What a published attack protocol is: its settings, and how they carry over to another eps.

This module knows no torch, so that a study can be checked without it.
"""

from dataclasses import dataclass, replace

PUBLISHED_FOR_EPS = 8 / 255  # the threat model that the published numbers stand for


@dataclass(frozen=True)
class Protocol:
    """PGD on the cross-entropy, as published for CIFAR-10 at a nominal eps of 8/255 (L-infinity).

    ``eps`` and ``step_size`` are the published values; `scaled` carries them to another eps by
    the same ratio, so that at 8/255 they are the published ones.
    """

    source: str
    eps: float
    step_size: float
    steps: int
    restarts: int = 1
    start: str = "uniform"  # uniform | gaussian | clean
    mode: str = "eval"  # eval | train: of the network under attack

    def scaled(self, study_eps: float) -> "Protocol":
        """The protocol with eps and step size multiplied by ``study_eps / (8/255)``."""
        ratio = study_eps / PUBLISHED_FOR_EPS
        return replace(self, eps=self.eps * ratio, step_size=self.step_size * ratio)

"""What a published attack protocol is: its settings, and how they carry over to another eps.

This module knows no torch, so that a study can be checked without it.
"""

from dataclasses import dataclass, replace

PUBLISHED_FOR_EPS = 8 / 255  # the threat model that the published numbers stand for


@dataclass(frozen=True)
class Protocol:
    """An attack as published for CIFAR-10 at a nominal eps of 8/255 (L-infinity).

    ``eps`` and ``step_size`` are the published values; `scaled` carries them to another eps by
    the same ratio, so that at 8/255 they are the published ones. APGD sets its own step size and
    starts uniformly; of its iterates the best counts, of PGD's the last.
    """

    source: str
    eps: float
    step_size: float  # of pgd
    steps: int
    restarts: int = 1
    start: str = "uniform"  # uniform | gaussian | clean: of pgd
    mode: str = "eval"  # eval | train: of the network under attack
    loss: str = "ce"  # ce | cw | dlr: cross-entropy, C&W margin, difference of logits ratio
    attack: str = "pgd"  # pgd | apgd

    def scaled(self, study_eps: float) -> "Protocol":
        """The protocol with eps and step size multiplied by ``study_eps / (8/255)``."""
        return self.within(self.eps * study_eps / PUBLISHED_FOR_EPS)

    def within(self, eps: float) -> "Protocol":
        """The same attack in another ball: the step size keeps its ratio to eps."""
        if eps == self.eps:
            return self
        return replace(self, eps=eps, step_size=self.step_size * eps / self.eps)

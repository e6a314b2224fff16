"""Published attack protocols: how each method's authors measured their robust accuracy.

Read in the methods' released code. This module knows no torch, so that a study can be checked
without it.
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


PROTOCOLS = {
    "hydra_pgd10": Protocol(
        "HYDRA (Sehwag et al. 2020), evaluation in its released code", 0.031, 0.0078, 10
    ),
    "hydra_pgd50": Protocol("HYDRA (Sehwag et al. 2020), PGD-50 of its README", 0.031, 0.0078, 50),
    "radmm_pgd10": Protocol(
        "R-ADMM (Ye et al. 2019), the attack it trains with", 8 / 255, 2 / 255, 10
    ),
    "bcsp_pgd50": Protocol(
        "BCS-P (Özdenizci & Legenstein 2021), PGD-50 with 10 restarts",
        8 / 255,
        2.5 * 8 / 255 / 50,
        50,
        restarts=10,
    ),
}

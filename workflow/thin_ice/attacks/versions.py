"""What a version of AutoAttack means in each norm: the attacks, their order and their budgets.

This module knows no torch, so that a study can be checked without it.
"""

from dataclasses import dataclass, replace

from thin_ice.errors import ThinIceError

LOGITS_NEEDED = {  # the difference of logits ratio divides by the third (targeted: fourth) largest
    "apgd-dlr": 3,
    "apgd-t": 4,
}


@dataclass(frozen=True)
class CascadeSettings:
    """Attacks in order, with every budget that the package sets by its version.

    ``large_repetitions``: APGD, in L1 only, comes down from three and two times eps.
    """

    attacks: tuple[str, ...]
    apgd_restarts: int = 1
    eot_iterations: int = 1  # forward passes averaged by APGD, for randomised networks
    apgd_targets: int = 9  # classes that apgd-t aims at, the likeliest first
    fab_targets: int = 9
    fab_restarts: int = 1
    square_queries: int = 5000
    large_repetitions: bool = False

    def for_classes(self, classes: int) -> "CascadeSettings":
        """The same for a network of so many logits: no more targets than there are wrong classes,
        where the package ends in an IndexError.

        Raises:
            ThinIceError: an attack's loss needs more logits.
        """
        for name in self.attacks:
            if classes < LOGITS_NEEDED.get(name, 2):
                raise ThinIceError(
                    f"autoattack.attacks: {name} on a network of {classes} classes; "
                    f"allowed: {LOGITS_NEEDED.get(name, 2)} classes or more"
                )
        wrong = classes - 1
        return replace(
            self,
            apgd_targets=min(self.apgd_targets, wrong),
            fab_targets=min(self.fab_targets, wrong),
        )


VERSIONS = {
    "standard": CascadeSettings(("apgd-ce", "apgd-t", "fab-t", "square")),
    "plus": CascadeSettings(
        ("apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t"),
        apgd_restarts=5,
        fab_restarts=5,
    ),
    "rand": CascadeSettings(("apgd-ce", "apgd-dlr"), eot_iterations=20),
}


def version_settings(version: str, norm: str) -> CascadeSettings:
    """The settings of a version in ``norm``: ``Linf``, ``L2`` or ``L1``. Only standard differs."""
    settings = VERSIONS[version]
    if (version, norm) == ("standard", "L1"):
        return replace(settings, apgd_restarts=5, apgd_targets=5, large_repetitions=True)
    return settings

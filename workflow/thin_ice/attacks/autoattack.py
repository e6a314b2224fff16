"""AutoAttack (Croce & Hein 2020) through its authors' package, attack by attack, on survivors.

The package runs its attacks one after another, each on the samples that withstood the earlier
ones. Here each link of that cascade is one call of `run_standard_evaluation` with a single attack
on the survivors, in the same order and the same batches, so the verdicts are those of one call,
and each attack's outcome is kept and can be saved before the next begins (the package's own
resume does not work). Verdicts depend on seed, batch size and the samples that share a batch:
all three belong to the declared protocol.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from pyautoattack import AutoAttack
from torch import Tensor, nn

from thin_ice.attacks.modes import under_attack


@dataclass(frozen=True)
class CascadeSettings:
    """What a version of AutoAttack means. All of it is set explicitly on the package's object,
    since its ``custom`` version keeps other defaults (five restarts) than ``standard`` has.
    """

    attacks: tuple[str, ...]
    apgd_restarts: int = 1
    eot_iterations: int = 1  # forward passes averaged by APGD, for randomised networks
    targets: int = 9  # classes that the targeted attacks aim at
    fab_restarts: int = 1
    square_queries: int = 5000


VERSIONS = {
    "standard": CascadeSettings(("apgd-ce", "apgd-t", "fab-t", "square")),
    "plus": CascadeSettings(
        ("apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t"),
        apgd_restarts=5,
        fab_restarts=5,
    ),
    "rand": CascadeSettings(("apgd-ce", "apgd-dlr"), eot_iterations=20),
}


@dataclass(frozen=True)
class AttackOutcome:
    """What one link of the cascade did to the samples it was given."""

    attack: str
    withstood: Tensor  # bool, one a sample given
    warnings: list[str]  # what the package's own checks had to say


def attacker(
    model: nn.Module, norm: str, eps: float, seed: int, settings: CascadeSettings
) -> AutoAttack:
    """The package's object with every setting of the declared version in place."""
    device = next(model.parameters()).device
    attack = AutoAttack(
        model, norm=norm, eps=eps, seed=seed, device=device, version="custom", attacks=[]
    )
    attack.apgd.n_restarts = settings.apgd_restarts
    attack.apgd.eot_iter = settings.eot_iterations
    attack.apgd_targeted.n_restarts = 1
    attack.apgd_targeted.n_target_classes = attack.fab.n_target_classes = settings.targets
    attack.fab.n_restarts = settings.fab_restarts
    attack.square.n_queries = settings.square_queries
    if settings.eot_iterations > 1:
        attack.version = "rand"  # spares a randomised network the check for being one
    return attack


def run_attack(
    package: AutoAttack, name: str, images: Tensor, labels: Tensor, batch_size: int
) -> AttackOutcome:
    """One link of the cascade on correctly classified float images (N, C, H, W) in [0, 1]."""
    package.attacks_to_run = [name]
    with under_attack(package.model), _warnings_of(package) as warnings, _tracer_kept():
        _, predicted = package.run_standard_evaluation(images, labels, batch_size=batch_size)
    return AttackOutcome(name, predicted == labels, warnings)


@torch.no_grad()
def predictions(model: nn.Module, images: Tensor, batch_size: int) -> Tensor:
    """Predicted classes, int64 (N,), batch by batch as AutoAttack takes them."""
    with under_attack(model):
        return torch.cat([model(batch).argmax(1) for batch in images.split(batch_size)])


@contextmanager
def _warnings_of(package: AutoAttack) -> Iterator[list[str]]:
    """Collect the warnings of the package's own checks, which it only logs."""
    messages: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    handler = Collector(level=logging.WARNING)
    package.logger.addHandler(handler)
    try:
        yield messages
    finally:
        package.logger.removeHandler(handler)


@contextmanager
def _tracer_kept() -> Iterator[None]:
    """The package's check for dynamic defenses switches off any tracer; put it back."""
    tracer = sys.gettrace()
    try:
        yield
    finally:
        sys.settrace(tracer)

"""AutoAttack (Croce & Hein 2020) through its authors' package, attack by attack, on survivors.

The package runs its attacks one after another, each on the samples that withstood the earlier
ones. Here each link of that cascade is one call of `run_standard_evaluation` with a single attack
on the survivors, in the same order and the same batches, so the verdicts are those of one call,
and each attack's outcome is kept and can be saved before the next begins (the package's own
resume does not work). Verdicts depend on seed, batch size and the samples that share a batch:
all three belong to the declared protocol.
"""

import logging
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
from pyautoattack import AutoAttack, checks
from torch import Tensor, nn

from thin_ice.attacks.apgd_margins import SmallestMargins
from thin_ice.attacks.checks import finite_under_attack
from thin_ice.attacks.modes import under_attack
from thin_ice.attacks.versions import CascadeSettings

APGD = {"apgd-ce": "apgd", "apgd-dlr": "apgd", "apgd-t": "apgd_targeted"}  # the package's objects


@dataclass(frozen=True)
class AttackOutcome:
    """What one link of the cascade did to the N samples it was given."""

    attack: str
    withstood: Tensor  # bool, (N,)
    adversarial: Tensor  # float32, (N, C, H, W): what it found, or the clean image
    margins: Tensor  # float32, (N,): the smallest at APGD's best points, NaN for other attacks
    warnings: list[str]  # what the package's own checks had to say


def attacker(
    model: nn.Module, norm: str, eps: float, seed: int, settings: CascadeSettings
) -> AutoAttack:
    """The package's object with every setting of the declared version in place, since its
    ``custom`` version keeps other defaults (five restarts) than ``standard`` has. A new one for
    each attack: the package's fab-t leaves a single restart to a fab that runs after it.
    """
    device = next(model.parameters()).device
    attack = AutoAttack(
        model, norm=norm, eps=eps, seed=seed, device=device, version="custom", attacks=[]
    )
    attack.apgd.n_restarts = settings.apgd_restarts
    attack.apgd.eot_iter = settings.eot_iterations
    attack.apgd_targeted.n_restarts = 1
    attack.apgd_targeted.n_target_classes = settings.apgd_targets
    attack.apgd.use_largereps = settings.large_repetitions
    attack.apgd_targeted.use_largereps = settings.large_repetitions
    attack.fab.n_target_classes = settings.fab_targets
    attack.fab.n_restarts = settings.fab_restarts
    attack.square.n_queries = settings.square_queries
    if settings.eot_iterations > 1:
        attack.version = "rand"  # spares a randomised network the check for being one
    return attack


def run_attack(
    package: AutoAttack, name: str, images: Tensor, labels: Tensor, batch_size: int
) -> AttackOutcome:
    """One link of the cascade on correctly classified float images (N, C, H, W) in [0, 1].

    Raises:
        UnusableInput: the network's logits or gradients are not finite somewhere on its way.
    """
    package.attacks_to_run, model = [name], package.model
    smallest = SmallestMargins(model, images, labels) if name in APGD else None
    watching = smallest.watching(getattr(package, APGD[name])) if smallest else nullcontext()
    with (
        under_attack(model),
        finite_under_attack(model),
        _tracer_kept(),
        watching,
        _warnings_of(package) as warnings,
    ):
        found, predicted = package.run_standard_evaluation(images, labels, batch_size=batch_size)
    margins = smallest.of_samples() if smallest else images.new_full((len(images),), math.nan)
    return AttackOutcome(name, predicted == labels, found, margins, warnings)


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
    # Its count of gradients taken inside a forward pass is kept for the whole process: one
    # dynamic network would have every later one accused.
    checks.funcs.update(dict.fromkeys(checks.funcs, 0))
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

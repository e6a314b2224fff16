"""Run a published protocol and keep, per sample, what its authors would have reported.

With PGD they keep the last iterate; a sample that was adversarial on the way but not at the end
counts as robust there (a silent success). Both verdicts are returned, so that the difference can
be shown. APGD keeps the best iterate itself, so its verdicts are the same.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from pyautoattack.autopgd_base import APGDAttack
from torch import Tensor, nn

from thin_ice.attacks.losses import LOSSES
from thin_ice.attacks.modes import under_attack
from thin_ice.attacks.pgd import pgd, start_point
from thin_ice.attacks.protocol import Protocol
from thin_ice.attacks.threat import ThreatModel

Verdicts = tuple[Tensor, Tensor]  # bool (N,) each: right at the last iterate, right at every one


@dataclass(frozen=True)
class Victim:
    """A network, the images (N, C, H, W) in [0, 1] and labels (N,) it is attacked on, the ball."""

    model: nn.Module
    images: Tensor
    labels: Tensor
    threat: ThreatModel

    @torch.no_grad()
    def right_on(self, attacked: Tensor) -> Tensor:
        """Which of N other images the network has right, bool (N,)."""
        return self.model(attacked).argmax(1) == self.labels


@dataclass(frozen=True)
class ClaimedOutcome:
    """Per sample, bool (N,): still right at each restart's last iterate, and at every iterate."""

    robust_last: Tensor
    robust_any: Tensor


def run_protocol(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    threat: ThreatModel,
    protocol: Protocol,
    generator: torch.Generator,
) -> ClaimedOutcome:
    """Attack a batch, images (N, C, H, W) in [0, 1], under a protocol already scaled to the study.

    The norm is the study's; everything else is the protocol's. Of ``generator`` APGD takes the
    seed alone, since its package draws from torch's global stream.
    """
    victim = Victim(model, images, labels, ThreatModel(threat.norm, protocol.eps))
    with under_attack(model, protocol.mode):
        last, every = ATTACKS[protocol.attack](victim, protocol, generator)
    return ClaimedOutcome(last, every)


def _pgd(victim: Victim, protocol: Protocol, generator: torch.Generator) -> Verdicts:
    last = torch.ones_like(victim.labels, dtype=torch.bool)
    every = last.clone()
    for _ in range(protocol.restarts):
        robust, always = _one_start(victim, protocol, generator)
        last, every = last & robust, every & always
    return last, every


def _one_start(victim: Victim, protocol: Protocol, generator: torch.Generator) -> Verdicts:
    """The logits behind each gradient are also the verdict on the point that it is taken at."""
    verdicts: list[Tensor] = []

    def loss(logits: Tensor) -> Tensor:
        verdicts.append(logits.detach().argmax(1) == victim.labels)
        return LOSSES[protocol.loss](logits, victim.labels).sum()

    images, threat = victim.images, victim.threat
    start = start_point(images, threat, protocol.start, generator)
    attacked = pgd(victim.model, images, threat, loss, start, protocol.steps, protocol.step_size)
    last = victim.right_on(attacked)
    return last, torch.stack([*verdicts[1:], last]).all(0)  # the first is on the start


def _apgd(victim: Victim, protocol: Protocol, generator: torch.Generator) -> Verdicts:
    """The package attacks what it finds correctly classified and returns the rest as it is."""
    images = victim.images
    attack = APGDAttack(
        victim.model,
        n_iter=protocol.steps,
        norm=victim.threat.norm,
        n_restarts=protocol.restarts,
        eps=victim.threat.eps,
        seed=generator.initial_seed(),
        loss=protocol.loss,
        device=images.device,
    )
    with torch.random.fork_rng([images.device] if images.is_cuda else []):
        attacked = attack.perturb(images, victim.labels)
    robust = victim.right_on(attacked)
    return robust, robust


ATTACKS: dict[str, Callable[..., Verdicts]] = {"pgd": _pgd, "apgd": _apgd}

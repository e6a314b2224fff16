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
    threat = ThreatModel(threat.norm, protocol.eps)
    with under_attack(model, protocol.mode):
        last, every = ATTACKS[protocol.attack](model, images, labels, threat, protocol, generator)
    return ClaimedOutcome(last, every)


def _pgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    threat: ThreatModel,
    protocol: Protocol,
    generator: torch.Generator,
) -> Verdicts:
    last = torch.ones(len(labels), dtype=torch.bool, device=labels.device)
    every = last.clone()
    for _ in range(protocol.restarts):
        robust, always = _one_start(model, images, labels, threat, protocol, generator)
        last, every = last & robust, every & always
    return last, every


def _one_start(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    threat: ThreatModel,
    protocol: Protocol,
    generator: torch.Generator,
) -> Verdicts:
    """The logits behind each gradient are also the verdict on the point that it is taken at."""
    verdicts: list[Tensor] = []

    def loss(logits: Tensor) -> Tensor:
        verdicts.append(logits.detach().argmax(1) == labels)
        return LOSSES[protocol.loss](logits, labels).sum()

    start = start_point(images, threat, protocol.start, generator)
    attacked = pgd(model, images, threat, loss, start, protocol.steps, protocol.step_size)
    last = _right(model, attacked, labels)
    return last, torch.stack([*verdicts[1:], last]).all(0)  # the first is on the start


def _apgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    threat: ThreatModel,
    protocol: Protocol,
    generator: torch.Generator,
) -> Verdicts:
    """The package attacks what it finds correctly classified and returns the rest as it is."""
    attack = APGDAttack(
        model,
        n_iter=protocol.steps,
        norm=threat.norm,
        n_restarts=protocol.restarts,
        eps=threat.eps,
        seed=generator.initial_seed(),
        loss=protocol.loss,
        device=images.device,
    )
    with torch.random.fork_rng([images.device] if images.is_cuda else []):
        attacked = attack.perturb(images, labels)
    robust = _right(model, attacked, labels)
    return robust, robust


@torch.no_grad()
def _right(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return model(images).argmax(1) == labels


ATTACKS: dict[str, Callable[..., Verdicts]] = {"pgd": _pgd, "apgd": _apgd}

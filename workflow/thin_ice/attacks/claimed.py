"""Run a published protocol and keep, per sample, what its authors would have reported.

They keep the last iterate; a sample that was adversarial on the way but not at the end counts as
robust there (a silent success). Both verdicts are returned, so that the difference can be shown.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from thin_ice.attacks.modes import under_attack
from thin_ice.attacks.pgd import cross_entropy_of, pgd_iterates, start_point
from thin_ice.attacks.protocol import Protocol
from thin_ice.attacks.threat import ThreatModel


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

    The norm is the study's; eps, steps, restarts and mode are the protocol's.
    """
    threat = ThreatModel(threat.norm, protocol.eps)
    last = torch.ones(len(labels), dtype=torch.bool, device=labels.device)
    every = last.clone()
    with under_attack(model, protocol.mode):
        for _ in range(protocol.restarts):
            robust, always = _one_start(model, images, labels, threat, protocol, generator)
            last, every = last & robust, every & always
    return ClaimedOutcome(last, every)


def _one_start(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    threat: ThreatModel,
    protocol: Protocol,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    start = start_point(images, threat, protocol.start, generator)
    always = torch.ones(len(labels), dtype=torch.bool, device=labels.device)
    loss = cross_entropy_of(labels)
    for iterate in pgd_iterates(
        model, images, threat, loss, start, protocol.steps, protocol.step_size
    ):
        with torch.no_grad():
            robust = model(iterate).argmax(1) == labels
        always &= robust
    return robust, always

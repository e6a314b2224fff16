"""Indicators of attack failure (Pintor et al. 2022): did an attack fail because of the network's
robustness, or because of the attack?

Six indicators a sample, of an attack on samples that the network has right:

1. unavailable gradients: autograd refuses, or the gradient of the attack's loss is exactly zero
   (or not finite) at some point of the path.
2. unstable predictions: the margin's mean relative change |m(x') - m(x)| / |m(x)|, clipped to 1, at
   random points x' around the sample, above 0.1. It says something of the network, not of the
   attack.
3. silent success: failed by its authors' count, though some iterate was adversarial.
4. incomplete optimisation: failed, and the best loss still rose over the last steps by more than
   0.05 of the range of the loss on the path.
5. transfer failure: the final point fools the network it was crafted on and not the target.
6. unconstrained failure: failed, and fails without an eps too, no iterate being adversarial.

The thresholds 0.1 (the paper's), 0.05 and the 10 last steps (its code's) were not tuned here.

Deviations, and why:
- Indicator 1 looks at the whole path, not at the start alone: an attack that runs into a flat
  region is as blind as one that starts there.
- Indicator 2 takes the margin z_y - max z_j, not the cross-entropy. The cross-entropy of a sample
  that is classified with confidence is nearly zero, so its relative change is large for the
  soundest of networks. The margin does not saturate and is indifferent to the logits' scale. The
  points are uniform in half the threat model's ball (4/255 of 8/255 in the code) and clipped to
  the box, so that each is an image that the attacker might send.
- Indicator 4: the last 10 steps, but at most a fifth of the path, which is the 10 of 50 steps that
  the paper looked at. Otherwise any attack of 10 steps or fewer would be incomplete by definition.
- Indicator 6: the attack without an eps keeps its ratio of step size to eps, in a ball that holds
  the whole box. With its old step size a short attack could not reach the far side of the box, and
  would fail for its length, which is indicator 4's matter.
- An attack of several starts is judged as one, see `attempts.together`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from thin_ice.attacks.attempts import Attack, Case
from thin_ice.attacks.minimum_norm import margin
from thin_ice.attacks.modes import under_attack
from thin_ice.attacks.threat import ThreatModel

CHANGE = 0.1  # mean relative change of the margin
GAIN = 0.05  # late gain of the best loss
NEAR = 0.5  # share of eps within which predictions should be stable


@dataclass(frozen=True)
class Indicators:
    """The indicators of N samples, bool (N,) each in the paper's order, and two of the values
    behind them, float (N,).
    """

    unavailable_gradients: Tensor
    unstable_predictions: Tensor
    silent_success: Tensor
    incomplete_optimisation: Tensor
    transfer_failure: Tensor
    unconstrained_failure: Tensor
    relative_change: Tensor
    late_gain: Tensor


def indicators(attack: Attack, case: Case, change: Tensor) -> Indicators:
    """All six for one attack. ``change``: what `relative_change` says of the samples."""
    found, free = attack(case), attack(case.unconstrained())
    failed = ~found.fooled
    return Indicators(
        unavailable_gradients=found.no_gradient,
        unstable_predictions=change > CHANGE,
        silent_success=failed & found.ever_fooled,
        incomplete_optimisation=failed & (found.late_gain > GAIN),
        transfer_failure=found.final_fools_crafted & ~found.final_fools_target,
        unconstrained_failure=failed & ~found.ever_fooled & ~free.ever_fooled,
        relative_change=change,
        late_gain=found.late_gain,
    )


@torch.no_grad()
def relative_change(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    threat: ThreatModel,
    points: int,
    generator: torch.Generator,
) -> Tensor:
    """Mean over random points of the margin's relative change, clipped to 1; (N,) in [0, 1]."""
    around = ThreatModel(threat.norm, NEAR * threat.eps)
    with under_attack(model):
        here = margin(model(images), labels)
        total = torch.zeros_like(here)
        for _ in range(points):
            there = margin(model(around.random_start(images, generator)), labels)
            total += ((there - here).abs() / here.abs()).nan_to_num(1.0).clamp_max(1)
    return total / points

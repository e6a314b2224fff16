"""Does a found adversarial example hold up: in the ball, in the box, misclassified?

Looked at again in float32 and evaluation mode, apart from the attack that found it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from thin_ice.attacks.checks import require_finite
from thin_ice.attacks.minimum_norm import margin
from thin_ice.attacks.threat import ThreatModel

RELATIVE = 1e-6  # of eps: the attacks' own arithmetic
ROUNDING = 2.0**-23  # of a value in [0, 1]: two roundings to float32, to store it and to subtract


@dataclass(frozen=True)
class Recheck:
    """Per example, (B,): float64 size of its perturbation, whether it stays inside, float32 logit
    margin of the label, and whether the network is wrong.
    """

    size: Tensor
    inside: Tensor
    margin: Tensor
    wrong: Tensor

    @property
    def holds(self) -> Tensor:
        """Which examples are what they are said to be, bool (B,)."""
        return self.inside & self.wrong


def tolerance(threat: ThreatModel, values: int) -> float:
    """By how much a perturbation of so many values may exceed eps: what rounding explains. It adds
    up over the values as the norm does, and in sums of many of them half the worst case is rare.
    """
    worst = {"Linf": 1.0, "L2": values**0.5, "L1": float(values)}[threat.norm]
    return RELATIVE * threat.eps + ROUNDING * worst


@torch.no_grad()
def recheck(
    model: nn.Module,
    clean: Tensor,
    labels: Tensor,
    examples: Tensor,
    threat: ThreatModel,
    batch_size: int,
) -> Recheck:
    """Look at ``examples`` of ``clean``, both float32 (B, C, H, W), in the declared batches. The
    model must be in evaluation mode.

    Raises:
        UnusableInput: the network's logits on an example are not finite.
    """
    if not len(labels):
        none = torch.zeros(0, device=labels.device)
        return Recheck(none.double(), none.bool(), none, none.bool())
    logits = torch.cat([model(batch) for batch in examples.split(batch_size)])
    require_finite(logits, " under attack")
    size = threat.size(examples.double() - clean.double())
    flat = examples.flatten(1)
    in_box = ((flat >= 0) & (flat <= 1)).all(1)
    in_ball = size <= threat.eps + tolerance(threat, flat.shape[1])
    return Recheck(size, in_ball & in_box, margin(logits, labels), logits.argmax(1) != labels)

"""FAB (Croce & Hein 2020, Minimally distorted adversarial examples) through the package of
AutoAttack's authors, for L1, L2 and L-infinity.

The package's ``perturb`` stops looking at a sample once some run has flipped it within its eps, so
here each run is asked for by itself (``attack_single_run``, whose result does not depend on eps)
and the nearest flip of all is kept. Misclassified samples are not attempted: their distance is NaN.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from pyautoattack.fab_pt import FABAttack_PT
from torch import Tensor, nn

from thin_ice.attacks.minimum_norm import MinimumNorm, Nearest


@dataclass(frozen=True)
class Fab:
    """``targets``: aim at so many classes one by one, the most likely ones beside the label; 0
    looks at all classes in every step, at the price of a gradient a class.
    """

    norms: ClassVar[tuple[str, ...]] = ("L1", "L2", "Linf")
    misclassified: ClassVar[bool] = False

    steps: int = 100
    targets: int = 9

    def search(self, model: nn.Module, images: Tensor, labels: Tensor, norm: str) -> MinimumNorm:
        """Least perturbation of each float image (N, C, H, W) in [0, 1] that makes it wrong."""
        with torch.no_grad():
            logits = model(images)
        right, nearest = logits.argmax(1) == labels, Nearest(images, norm)
        package = FABAttack_PT(model, norm, n_iter=self.steps, device=images.device)
        # The package counts classes from the most likely one, which is the label here: from 2.
        for target in range(2, 2 + min(self.targets, logits.shape[1] - 1)) or [None]:
            package.target_class = target
            points = package.attack_single_run(images, labels, is_targeted=target is not None)
            with torch.no_grad():
                nearest.see(points, right & (model(points).argmax(1) != labels))
        found = nearest.confirmed(model, labels, right)
        return MinimumNorm(torch.where(right, found.distance, math.nan), found.adversarial)

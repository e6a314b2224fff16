"""What minimum-norm attacks share: what they find, the margin they cross, and the last check.

Such an attack looks for the least perturbation that changes whether a sample is classified
correctly: wrong if it is right, right if it is wrong.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from thin_ice.attacks.balls import LP_NORM
from thin_ice.attacks.threat import per_sample


@dataclass(frozen=True)
class MinimumNorm:
    """``distance`` (N,): norm of the smallest flip found, infinite where the attack failed, NaN
    where it does not try. ``adversarial``: the flipped images; the clean image elsewhere.
    """

    distance: Tensor
    adversarial: Tensor


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """z_y - max_{j != y} z_j, shape (N,): positive where the label wins."""
    true = logits.gather(1, labels[:, None]).squeeze(1)
    others = logits.scatter(1, labels[:, None], -math.inf)
    return true - others.amax(1)


class Nearest:
    """The nearest flip of each sample among all points that an attack shows it, on the device.

    Attributes:
        distance: (N,), infinite so long as there is none.
        points: (N, C, H, W), the clean image so long as there is none.
    """

    def __init__(self, images: Tensor, norm: str) -> None:
        self.images, self.norm = images, LP_NORM[norm]
        self.distance = images.new_full((len(images),), math.inf)
        self.points = images.clone()

    def see(self, points: Tensor, flipped: Tensor) -> Tensor:
        """Take what is nearer. ``flipped`` bool (N,); gives the points' distances, (N,)."""
        size = self.norm(points - self.images)
        nearer = flipped & (size < self.distance)
        self.distance = torch.where(nearer, size, self.distance)
        self.points = torch.where(per_sample(nearer, points), points, self.points)
        return size

    @torch.no_grad()
    def confirmed(self, model: nn.Module, labels: Tensor, right: Tensor) -> MinimumNorm:
        """Only what flips when it is looked at again, in the box, counts as found.

        ``right`` bool (N,): whether the clean image is classified correctly. The distance is that
        of the image that is returned, so none is below what was verified.
        """
        points = self.points.clamp(0, 1)
        # Where nothing was found the clean image is asked again; no tie of its may make it a flip.
        flipped = ((model(points).argmax(1) == labels) != right) & self.distance.isfinite()
        distance = torch.where(flipped, self.norm(points - self.images), math.inf)
        return MinimumNorm(distance, torch.where(per_sample(flipped, points), points, self.images))

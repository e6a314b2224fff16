"""How a certificate allows for rounding.

Bounds are computed in float64 around the weights as they are, which makes their own rounding some
1e-15 of the values that are added, and those of float32 irrelevant: TF32, too. What remains is that
the network that is attacked rounds in its own precision, and so do the attacked images.

* An attack computes image + perturbation with rounding. The ball is widened by the unit of the
  images' dtype in every value: eps + u D^(1/p), where u is 1.2e-7 in float32.
* The network's logits differ from the exact ones by rounding. A margin has to exceed
  `FACTOR` times the larger of u times the largest logit, and the difference that is found between
  the network's own logits at the clean image and the exact ones.

The second is no proof: a worst-case analysis of rounding is vacuous for deep networks, since it
multiplies absolute weights as intervals do. The factor leaves room for points where the network
rounds worse than at the clean image. A network that computes something else than the operators that
were read from it (by a hook, say) differs at the clean image and is not verified.
"""

import torch
from torch import Tensor

FACTOR = 32
DIMENSIONS = {"Linf": 0.0, "L2": 0.5, "L1": 1.0}  # 1 / p


def widened(eps: Tensor, images: Tensor, norm: str) -> Tensor:
    """Radii (N,) that cover what rounding can add to a perturbation of images of this dtype."""
    unit = torch.finfo(images.dtype).eps
    return eps + unit * images[0].numel() ** DIMENSIONS[norm]


def tolerance(logits: Tensor, exact: Tensor) -> Tensor:
    """What a margin has to exceed, float64 (N,), from the network's logits and the exact ones."""
    unit = torch.finfo(logits.dtype).eps
    found = (logits.double() - exact).abs().amax(1)
    return FACTOR * torch.maximum(found, unit * exact.abs().amax(1))

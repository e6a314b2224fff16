"""Where a minimum-norm attack may begin: at the sample, or at a flip found without gradients.

A network that hides its gradients gives an attack that begins at the sample nothing to follow. At
99 % sparsity every unit behind a sample may be dead: its logits are constant around it, and yet a
flip may be near. From a flipped point the search comes back towards the sample along the boundary,
where there are gradients.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from thin_ice.attacks.threat import per_sample
from thin_ice.randomness import generator

HALVINGS = 10  # of the way from a sample to its flipped point
SMALLEST = 0.05  # radius of the first noise; it grows from here to 1 ...
RADII, DRAWS = 12, 8  # ... in so many steps, with so many draws each
ORDER = {"L0": 0.0, "L1": 1.0, "L2": 2.0, "Linf": math.inf}


def at_sample(model: nn.Module, images: Tensor, labels: Tensor, norm: str) -> Tensor:
    """The images (N, C, H, W) themselves."""
    return images


@torch.no_grad()
def on_boundary(model: nn.Module, images: Tensor, labels: Tensor, norm: str) -> Tensor:
    """Just beyond the boundary on the way to the nearest image of the batch, in ``norm``, that is
    classified as a flip would have it, (N, C, H, W); the image itself where there is none.
    """
    predicted = model(images).argmax(1)
    right = predicted == labels
    flips = (predicted[None, :] == labels[:, None]) != right[:, None]  # of image i by image j
    flat = images.flatten(1)
    apart = torch.cdist(flat, flat, p=ORDER[norm]).masked_fill(~flips, math.inf)
    found = per_sample(apart.amin(1).isfinite(), images)
    ends = torch.where(found, images[apart.argmin(1)], images)
    near, far = images.new_zeros(len(images)), images.new_ones(len(images))
    for _ in range(HALVINGS):
        middle = (near + far) / 2
        points = images + per_sample(middle, images) * (ends - images)
        flipped = (model(points).argmax(1) == labels) != right
        near, far = torch.where(flipped, near, middle), torch.where(flipped, middle, far)
    return images + per_sample(far, images) * (ends - images)


@torch.no_grad()
def in_noise(model: nn.Module, images: Tensor, labels: Tensor, norm: str) -> Tensor:
    """The first flip among random corners of growing L-infinity balls, clipped to the box,
    (N, C, H, W); where none is met, as `on_boundary`. Which corners a sample is given depends on
    its place in the batch.
    """
    right = model(images).argmax(1) == labels
    draws = generator(images.device, "starts", "noise")
    found, points = torch.zeros_like(right), on_boundary(model, images, labels, norm)
    for step in range(RADII * DRAWS):
        radius = SMALLEST ** (1 - (step // DRAWS) / (RADII - 1))
        signs = torch.empty_like(images).normal_(generator=draws).sign()
        corners = (images + radius * signs).clamp(0, 1)
        flipped = ((model(corners).argmax(1) == labels) != right) & ~found
        points = torch.where(per_sample(flipped, points), corners, points)
        found |= flipped
    return points


STARTS: dict[str, Callable[[nn.Module, Tensor, Tensor, str], Tensor]] = {
    "sample": at_sample,
    "boundary": on_boundary,
    "noise": in_noise,
}

"""Where an attacked image may lie: the ball around the clean one, cut to the box [0, 1]."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from thin_ice.attacks.threat import per_sample
from thin_ice.verification.intervals import Interval, dot

LARGEST_STEP = 1e15  # of a value, per slope


@dataclass(frozen=True)
class Region:
    """All images in [0, 1] within ``eps`` of ``images``, a radius a sample.

    In L-infinity this is a box. In L1 and L2 the least value of a linear function over the ball cut
    to the box is found exactly, from the room r_i between the image and the box in the direction in
    which a_i falls. In L1 the values with the largest |a_i| move first, each as far as it has room,
    until eps is used up. In L2 each moves by d_i = min(|a_i| / t, r_i), where t follows from
    sorting the knots at which a value meets the box; the least value is that of the Lagrange dual,

        sum (t d_i^2 / 2 - |a_i| d_i) - t eps^2 / 2,

    a lower bound for any t > 0, so that rounding in t costs tightness and never soundness.
    """

    images: Tensor  # (N, C, H, W)
    norm: str  # Linf, L2 or L1
    eps: Tensor  # (N,)

    def interval(self) -> Interval:
        """The smallest box around the region."""
        eps = per_sample(self.eps, self.images)
        return Interval((self.images - eps).clamp(0, 1), (self.images + eps).clamp(0, 1))

    def rows(self, index: Tensor) -> "Region":
        """The samples of these numbers, int64 (P,), in this order."""
        return Region(self.images[index], self.norm, self.eps[index])

    def least(self, slopes: Tensor) -> Tensor:
        """The least value of each linear function: slopes (N, S, C, H, W) to (N, S)."""
        if self.norm == "Linf":
            return self.interval().least(slopes)
        images = self.images.unsqueeze(1)
        room = torch.where(slopes > 0, images, 1 - images).clamp_min(0).flatten(2)
        fall = _FALL[self.norm](slopes.abs().flatten(2), room, self.eps.view(-1, 1, 1))
        return dot(slopes, self.images) - fall


def _fall_l1(steepness: Tensor, room: Tensor, eps: Tensor) -> Tensor:
    """How far sum a_i d_i can fall with sum |d_i| <= eps: the steepest values move first, each as
    far as it has room. Steepness |a| and room (N, S, D), eps (N, 1, 1).
    """
    steepest, order = steepness.sort(dim=2, descending=True)
    rooms = room.gather(2, order)
    left = (eps - rooms.cumsum(2) + rooms).clamp_min(0)
    return (steepest * torch.minimum(rooms, left)).sum(2)


def _fall_l2(steepness: Tensor, room: Tensor, eps: Tensor) -> Tensor:
    """The same with sum d_i^2 <= eps^2: d_i = min(|a_i| s, r_i), where s = 1 / t grows until eps is
    used up.
    """
    with torch.no_grad():
        step = _step_l2(steepness, room, eps)
        price = torch.where(step < LARGEST_STEP, 1 / step, 0)
        moved = torch.minimum(steepness * step, room)
        saved = eps.square() - moved.square().sum(2, keepdim=True)
    return (steepness * moved).sum(2) + (price / 2 * saved).squeeze(2)


def _step_l2(steepness: Tensor, room: Tensor, eps: Tensor) -> Tensor:
    """The s at which the moved values use up eps, (N, S, 1); the largest where they never do."""
    tiny = torch.finfo(steepness.dtype).tiny
    knots, order = (room / steepness.clamp_min(tiny)).sort(dim=2)
    rooms, slopes = (v.gather(2, order).square() for v in (room, steepness))
    moving = slopes.flip(2).cumsum(2).flip(2)  # those that do not meet the box before a knot
    resting = F.pad(rooms.cumsum(2), (1, 0))  # those that do
    used = resting[..., :-1] + knots.square() * moving
    first = (used < eps.square()).sum(2, keepdim=True)
    left = (eps.square() - resting.gather(2, first)).clamp_min(0)
    still_moving = F.pad(moving, (0, 1)).gather(2, first)
    step = torch.where(still_moving > 0, left / still_moving, torch.inf).sqrt()
    return step.clamp(1 / LARGEST_STEP, LARGEST_STEP)


_FALL = {"L1": _fall_l1, "L2": _fall_l2}

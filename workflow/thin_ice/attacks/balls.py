"""The balls of L0, L1, L2 and L-infinity: norms, dual norms and projections, a value a sample.

L0 counts the values of an image that change (a colour pixel has three). Its ball has whole radii
and is no ball of a norm, so it has no dual.
"""

from collections.abc import Callable

from torch import Tensor

from thin_ice.attacks.threat import per_sample

TINY = 1e-12

Norm = Callable[[Tensor], Tensor]  # (N, ...) -> (N,)
Projection = Callable[[Tensor, Tensor], Tensor]  # (N, ...), radii (N,) -> (N, ...)


def _sum(t: Tensor) -> Tensor:
    return t.flatten(1).abs().sum(1)


def _largest(t: Tensor) -> Tensor:
    return t.flatten(1).abs().amax(1)


def _length(t: Tensor) -> Tensor:
    return t.flatten(1).norm(dim=1)


def _count(t: Tensor) -> Tensor:
    return (t != 0).flatten(1).sum(1).to(t.dtype)


LP_NORM: dict[str, Norm] = {"L0": _count, "L1": _sum, "L2": _length, "Linf": _largest}
DUAL_NORM: dict[str, Norm] = {"L1": _largest, "L2": _length, "Linf": _sum}


def onto_l0(delta: Tensor, radius: Tensor) -> Tensor:
    """Keep the ``radius`` largest values; of equals, those that come first."""
    order = delta.flatten(1).abs().argsort(dim=1, descending=True, stable=True)
    place = order.argsort(dim=1).view_as(delta)
    return delta * (place < per_sample(radius, delta))


def onto_l1(delta: Tensor, radius: Tensor) -> Tensor:
    """Duchi et al. 2008: shrink all values by the one threshold that leaves a sum of ``radius``."""
    size = delta.flatten(1).abs()
    falling = size.sort(dim=1, descending=True).values
    excess = falling.cumsum(1) - radius[:, None]
    ranks = size.new_ones(size.shape).cumsum(1)
    kept = (falling * ranks > excess).sum(1, keepdim=True).clamp_min(1)
    threshold = (excess.gather(1, kept - 1) / kept).clamp_min(0)
    return delta.sign() * (size - threshold).clamp_min(0).view_as(delta)


def onto_l2(delta: Tensor, radius: Tensor) -> Tensor:
    length = _length(delta).clamp_min(TINY)
    return delta * per_sample((radius / length).clamp_max(1), delta)


def onto_linf(delta: Tensor, radius: Tensor) -> Tensor:
    bound = per_sample(radius, delta)
    return delta.clamp(-bound, bound)


PROJECTION: dict[str, Projection] = {
    "L0": onto_l0,
    "L1": onto_l1,
    "L2": onto_l2,
    "Linf": onto_linf,
}

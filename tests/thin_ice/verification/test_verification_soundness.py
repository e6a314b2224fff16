"""No point of the ball leaves a layer's interval or a margin's bound."""

import torch
from hypothesis import HealthCheck, given, settings
from random_networks import attacked, cases, sampled, values_of

from thin_ice.verification.bounds import METHODS, Bounds, network_of
from thin_ice.verification.margins import lower_margins
from thin_ice.verification.region import Region

ROUNDING = 1e-9  # of float64, relative to the largest of a layer's bounds
POINTS = 6
LAWS = settings(
    max_examples=2000,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def bounded(network, clean, threat):
    eps = torch.full((len(clean),), threat.eps, dtype=clean.dtype)
    with torch.no_grad():
        return Bounds(network_of(network, clean, clean.dtype), Region(clean, threat.norm, eps))


def worst(inside, interval):
    """By how much values (P, N, ...) leave an interval (N, ...), less what rounding may do."""
    excess = torch.maximum(interval.lower - inside, inside - interval.upper).max()
    size = max(1.0, interval.lower.abs().max().item(), interval.upper.abs().max().item())
    return excess.item() - ROUNDING * size


@LAWS
@given(cases())
def test_no_sampled_or_attacked_point_leaves_the_bounds(case):
    network, clean, labels, threat, stream = case
    bounds = bounded(network, clean, threat)
    found = sampled(threat, clean, POINTS, stream)
    points = torch.cat([clean[None], found, attacked(network, threat, clean, labels)])
    with torch.no_grad():
        values = values_of(bounds.network.steps, points.flatten(0, 1))
        values = [value.unflatten(0, points.shape[:2]) for value in values]
        for boxes in (bounds.intervals, bounds.tightened):
            for value, box in zip(values, boxes, strict=True):
                assert worst(value, box) <= 0
        logits = network(points.flatten(0, 1)).unflatten(0, points.shape[:2])
        margins = logits.gather(2, labels.expand(len(points), -1)[..., None]) - logits
        for method in METHODS:
            lower = lower_margins(bounds, labels, method)
            assert (lower - margins).max() <= ROUNDING * max(1.0, lower.abs().max())

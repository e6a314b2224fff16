"""Learning-rate schedules as pure functions of the step."""

import math

from thin_ice.training.plan import Plan


def learning_rate(plan: Plan, step: int, steps_per_epoch: int) -> float:
    """The rate for optimiser step ``step`` (0-based) of a stage of ``plan.epochs`` epochs."""
    total = plan.epochs * steps_per_epoch
    warm = plan.warmup * total
    ramp = min(1.0, (step + 1) / warm) if warm else 1.0
    return plan.lr * ramp * _decay(plan, step, steps_per_epoch, total)


def _decay(plan: Plan, step: int, steps_per_epoch: int, total: int) -> float:
    if plan.schedule == "constant":
        return 1.0
    if plan.schedule == "cosine_per_epoch":
        return _hydra_cosine(plan.epochs, step // steps_per_epoch)
    position = step * plan.cycles % total / total  # whole numbers first: milestones are exact
    if plan.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * position))
    return plan.gamma ** sum(position >= milestone for milestone in plan.milestones)


def _hydra_cosine(epochs: int, epoch: int) -> float:
    """HYDRA's rate: set once an epoch, one epoch late, so it starts and ends off the extremes."""
    return 0.5 * (1 + math.cos(math.pi * (epoch - 1) / epochs))

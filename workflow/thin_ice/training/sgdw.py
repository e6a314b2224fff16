"""SGD with decoupled weight decay and the rate inside the velocity, as TensorFlow Addons' SGDW.

    w <- w - d (lr / lr0) w
    v <- m v - lr g
    w <- w + v

The decay d is not multiplied by the learning rate, only by the share of the initial rate lr0 that
the schedule has left (Loshchilov and Hutter 2019). A decay of 5e-4 here is as strong as an L2
coefficient of 5e-3 in torch's SGD at a rate of 0.1. With the rate inside the velocity, what moved
quickly before the rate drops goes on for a while.
"""

from collections.abc import Callable, Iterable

import torch
from torch import nn

from thin_ice.training.optimizers import Eager


class Sgdw(Eager):
    """``weight_decay``: the share of every parameter that a step at the initial rate takes away."""

    def __init__(
        self, parameters: Iterable[nn.Parameter], lr: float, momentum: float, weight_decay: float
    ) -> None:
        super().__init__(
            parameters,
            {"lr": lr, "initial_lr": lr, "momentum": momentum, "weight_decay": weight_decay},
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:
        """One step with the gradients that are there."""
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            velocities = [self._velocity(weight) for weight in weights]
            gradients = [weight.grad for weight in weights]
            decay = group["weight_decay"] * group["lr"] / group["initial_lr"]
            torch._foreach_mul_(weights, 1 - decay)
            torch._foreach_mul_(velocities, group["momentum"])
            torch._foreach_add_(velocities, gradients, alpha=-group["lr"])
            torch._foreach_add_(weights, velocities)

    def _velocity(self, weight: nn.Parameter) -> torch.Tensor:
        memory = self.state[weight]
        if "momentum_buffer" not in memory:
            memory["momentum_buffer"] = torch.zeros_like(weight)
        return memory["momentum_buffer"]

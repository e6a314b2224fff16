"""How long networks take for a batch, by the clock: no result, since no two runs agree on it."""

import time
from collections.abc import Mapping
from statistics import median

import torch
from torch import Tensor, nn

ROUNDS = 9


@torch.no_grad()
def latencies_ms(
    models: Mapping[str, nn.Module], images: Tensor, rounds: int = ROUNDS
) -> dict[str, float]:
    """By network, the median of so many passes over the batch, in milliseconds.

    The networks take turns, so that whatever slows the machine slows all of them; the first round
    warms up and does not count. A GPU is waited for before each look at the clock.

    Args:
        models: in evaluation mode.
        images: float (N, C, H, W), on the networks' device.
        rounds: that count.
    """
    taken: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(rounds + 1):
        for name, model in models.items():
            began = _now(images)
            model(images)
            taken[name].append(_now(images) - began)
    return {name: round(1000 * median(times[1:]), 4) for name, times in taken.items()}


def _now(images: Tensor) -> float:
    if images.is_cuda:
        torch.cuda.synchronize(images.device)
    return time.perf_counter()

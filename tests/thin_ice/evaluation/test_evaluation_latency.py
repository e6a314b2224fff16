"""How long networks take, by a clock that moves when a network computes."""

import time
from itertools import chain, repeat

import pytest
import torch
from torch import nn

from thin_ice.evaluation.latency import latencies_ms


class Clock:
    """Seconds that pass only as networks spend them; notes which one did."""

    def __init__(self):
        self.now, self.turns = 0.0, []


class Slow(nn.Module):
    """A network that takes these seconds, pass by pass, and the last of them from then on."""

    def __init__(self, clock, name, *seconds):
        super().__init__()
        self.clock, self.name = clock, name
        self.seconds = chain(seconds, repeat(seconds[-1]))

    def forward(self, images):
        self.clock.now += next(self.seconds)
        self.clock.turns.append((self.name, torch.is_grad_enabled()))
        return images


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
    return clock


def test_it_is_the_median_in_milliseconds_and_the_first_pass_does_not_count(clock):
    slow = Slow(clock, "slow", 5.0, 0.001, 0.004, 0.002)
    assert latencies_ms({"slow": slow}, torch.rand(2, 1, 8, 8), rounds=3) == {"slow": 2.0}
    even = Slow(clock, "even", 9.0, 0.001, 0.004)
    assert latencies_ms({"even": even}, torch.rand(2, 1, 8, 8), rounds=2) == {"even": 2.5}


def test_networks_take_turns_and_know_no_gradients(clock):
    models = {name: Slow(clock, name, 1.0) for name in ("dense", "compact")}
    assert latencies_ms(models, torch.rand(2, 1, 8, 8)) == {"dense": 1000.0, "compact": 1000.0}
    assert clock.turns == [("dense", False), ("compact", False)] * 10

"""Learning rates by hand."""

import itertools
import math
from fractions import Fraction

import pytest

from thin_ice.training.plan import Plan
from thin_ice.training.schedules import learning_rate


def rates(plan, steps_per_epoch=1):
    return [learning_rate(plan, s, steps_per_epoch) for s in range(plan.epochs * steps_per_epoch)]


def test_constant_stays():
    assert set(rates(Plan(epochs=5, lr=0.3, schedule="constant"), 4)) == {0.3}


def test_cosine_starts_at_the_rate_is_half_in_the_middle_and_ends_near_zero():
    found = rates(Plan(epochs=10, lr=0.2, schedule="cosine"), 10)
    assert found[0] == 0.2
    assert found[25] == pytest.approx(0.1 * (1 + math.cos(math.pi / 4)))
    assert found[50] == pytest.approx(0.1)
    assert found[99] == pytest.approx(0.1 * (1 + math.cos(math.pi * 0.99)))
    assert all(later < earlier for earlier, later in itertools.pairwise(found))


def test_hydra_s_cosine_is_set_once_an_epoch_and_one_epoch_late():
    found = rates(Plan(epochs=20, lr=0.1, schedule="cosine_per_epoch"), 7)
    epochs = [found[7 * e : 7 * e + 7] for e in range(20)]
    assert all(len(set(epoch)) == 1 for epoch in epochs)
    assert round(epochs[0][0], 4) == 0.0994
    assert epochs[1][0] == pytest.approx(0.1)
    assert epochs[11][0] == pytest.approx(0.05)
    assert epochs[19][0] == pytest.approx(0.05 * (1 + math.cos(math.pi * 18 / 20)))
    assert epochs[19][0] > 0.002


@pytest.mark.parametrize("steps_per_epoch", [1, 391])
def test_radmm_s_rate_restarts_every_20_epochs_and_falls_after_each_third(steps_per_epoch):
    plan = Plan(epochs=200, lr=0.01, schedule="step", milestones=(1 / 3, 2 / 3), cycles=10)
    starts = [learning_rate(plan, epoch * steps_per_epoch, steps_per_epoch) for epoch in range(200)]
    period = [0.01] * 7 + [0.001] * 7 + [0.0001] * 6
    assert starts == pytest.approx(period * 10)


def test_step_milestones_are_shares_of_the_budget():
    plan = Plan(epochs=200, lr=0.01, schedule="step", milestones=(0.4, 0.75))
    found = rates(plan, 3)
    assert found == pytest.approx([0.01] * 240 + [0.001] * 210 + [0.0001] * 150)


def test_gamma_is_the_factor_at_a_milestone():
    plan = Plan(epochs=4, lr=1.0, schedule="step", milestones=(0.5,), gamma=0.25)
    assert rates(plan) == [1.0, 1.0, 0.25, 0.25]


def test_step_moments_are_exact_whatever_the_budget():
    milestones = (1 / 3, 2 / 3)
    for epochs in (1, 7, 10, 20, 30, 50):
        for cycles in (1, 2, 3, 5, 10):
            for steps_per_epoch in (1, 3, 7):
                total = epochs * steps_per_epoch
                plan = Plan(
                    epochs=epochs, lr=1.0, schedule="step", milestones=milestones, cycles=cycles
                )
                thirds = [
                    Fraction(step * cycles, total) % 1 // Fraction(1, 3) for step in range(total)
                ]
                expected = [0.1 ** int(third) for third in thirds]
                assert rates(plan, steps_per_epoch) == pytest.approx(expected), plan


def test_cosine_cycles_start_again_at_the_rate():
    found = rates(Plan(epochs=6, lr=0.1, schedule="cosine", cycles=3), 5)
    assert found[0] == found[10] == found[20] == 0.1
    assert found[:10] == pytest.approx(found[10:20])


def test_warmup_rises_linearly_over_its_share_of_the_budget():
    found = rates(Plan(epochs=10, lr=0.8, schedule="constant", warmup=0.2), 4)
    assert found[:8] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
    assert set(found[8:]) == {0.8}


def test_warmup_multiplies_the_schedule():
    plain = rates(Plan(epochs=10, lr=0.8, schedule="cosine"), 4)
    warm = rates(Plan(epochs=10, lr=0.8, schedule="cosine", warmup=0.1), 4)
    assert warm[:4] == pytest.approx([plain[i] * (i + 1) / 4 for i in range(4)])
    assert warm[4:] == plain[4:]

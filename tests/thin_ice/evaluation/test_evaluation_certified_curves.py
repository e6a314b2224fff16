"""Certified accuracy against the radius: counted on samples, never above what attacks leave."""

import numpy as np
import pandas as pd
import pytest

from thin_ice.evaluation.certified_curves import COLUMNS, CURVE, certified_curves

EPS = 0.1
RADII = np.arange(41) / 20 * EPS
CERTIFIED = pd.DataFrame(
    {
        "certified_radius": [0.0, 0.05, EPS, 0.15, -0.2],
        "smoothed_radius": [0.0, 0.25, 0.3, 1.0, -0.6],
    }
)
DISTANCES = pd.DataFrame(
    {
        "distance_linf": [0.02, EPS, 0.12, np.inf, 0.3],
        "distance_l2": [0.0] * 5,
        "correct": [True, True, True, True, False],
    }
)


def curves(certified=CERTIFIED, distances=DISTANCES, sigma=0.25):
    found = certified_curves(certified, distances, "Linf", RADII, EPS, sigma)
    return {proof: rows.reset_index(drop=True) for proof, rows in found.groupby("proof")}


def test_a_proof_holds_on_the_closed_ball_and_nothing_is_proved_at_radius_zero_of_none():
    proved = curves()["bounds"].set_index(np.arange(41)).certified_percent
    # Right and with a radius: 0.05, 0.1 and 0.15; the fifth sample is wrong.
    assert proved[0] == 60
    assert (proved[10], proved[11]) == (60, 40)
    assert (proved[20], proved[21]) == (40, 20)
    assert proved[40] == 0


def test_a_flip_at_the_radius_breaks_and_one_that_was_not_found_does_not():
    attacked = curves()["bounds"].robust_percent
    assert (attacked[0], attacked[19], attacked[20], attacked[40]) == (80, 60, 40, 20)


def test_what_is_proved_and_not_broken_lies_never_above_what_is_not_broken():
    rng = np.random.default_rng(0)
    found = rng.exponential(0.1, 500)
    right = rng.random(500) < 0.8
    radius = np.where(right, 1, -1) * found * rng.uniform(0, 0.999, 500)
    distances = pd.DataFrame({"distance_linf": found, "correct": right})
    rows = curves(pd.DataFrame({"certified_radius": radius}), distances, None)["bounds"]
    assert (rows.certified_percent <= rows.robust_percent).all()
    assert rows.certified_percent.is_monotonic_decreasing


def test_the_study_s_eps_is_marked_once():
    rows = curves()["bounds"]
    assert rows.eps[rows.at_eps == "yes"].tolist() == [pytest.approx(EPS)]
    assert set(rows.norm) == {"Linf"}
    assert (curves()["smoothing"].at_eps == "no").all()


def test_smoothed_networks_are_certified_in_an_open_ball_in_l2_and_attacked_by_nothing():
    rows = curves()["smoothing"]
    assert np.allclose(rows.eps, 0.25 * np.array(CURVE))
    assert set(rows.norm) == {"L2"}
    assert rows.robust_percent.isna().all()
    by_radius = rows.set_index("eps").certified_percent
    assert (by_radius[0.0], by_radius[0.25], by_radius[1.0]) == (60, 40, 0)


@pytest.mark.parametrize(
    ("certified", "proofs"),
    [
        (None, set()),
        (CERTIFIED[["smoothed_radius"]], {"smoothing"}),
        (CERTIFIED[["certified_radius"]], {"bounds"}),
        (CERTIFIED[[]], set()),
    ],
)
def test_only_what_was_certified_has_a_curve(certified, proofs):
    found = certified_curves(certified, DISTANCES, "Linf", RADII, EPS, 0.25)
    assert set(found.proof) == proofs
    assert list(found) == COLUMNS

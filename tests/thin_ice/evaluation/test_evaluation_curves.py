"""Security curves count what is right and farther than eps, and are checked against AutoAttack."""

import numpy as np
import pandas as pd
import pytest

from thin_ice.evaluation.curves import MOST, grid, security_curve

EPS = 0.1
AUTOATTACK = {"percent": 50.0, "low_percent": 40.0, "high_percent": 60.0}


def distances(values, wrong=0):
    """Correct samples at these distances, then misclassified ones, which have distances too."""
    return pd.DataFrame(
        {
            "correct": [True] * len(values) + [False] * wrong,
            "distance_linf": [*values, *[0.3] * wrong],
        }
    )


def curve(table, radii=None):
    radii = grid([table], "Linf", EPS) if radii is None else radii
    return security_curve(table, "Linf", radii, EPS, AUTOATTACK)


def test_a_curve_starts_at_clean_accuracy_and_never_rises():
    rows = curve(distances([0.01, 0.05, 0.2, 0.31], wrong=1))
    assert rows.robust_percent.iloc[0] == 80
    assert (rows.robust_percent.diff().dropna() <= 0).all()
    assert rows.robust_percent.iloc[-1] == 0


def test_a_sample_is_robust_at_eps_only_beyond_it():
    rows = curve(distances([0.05, 0.1, 0.15]), radii=np.array([0.0, 0.05, 0.0999, EPS, 0.15]))
    assert rows.robust_percent.tolist() == pytest.approx([100, 200 / 3, 200 / 3, 100 / 3, 0])


def test_misclassified_samples_are_robust_nowhere_whatever_their_distance():
    assert not curve(distances([], wrong=3)).robust_percent.any()


def test_failed_samples_are_robust_everywhere_and_their_share_is_told():
    table = distances([0.05, np.inf], wrong=2)
    table.loc[3, "distance_linf"] = np.inf  # a misclassified one is no robust one
    rows = curve(table)
    assert (rows.failed_percent == 25).all()
    assert rows.robust_percent.iloc[-1] == 25


@pytest.mark.parametrize("eps", [0.1, 0.2, 7 / 255, 8 / 255, 14 / 255, 1 / 3])
@pytest.mark.parametrize("farthest", [0.01, 1.4, 50])
def test_the_grid_holds_eps_itself_and_ends_where_the_curves_do(eps, farthest):
    radii = grid([distances([farthest * eps]), distances([np.inf])], "Linf", eps)
    assert (radii == eps).sum() == 1
    assert radii[0] == 0
    assert max(eps, min(farthest, MOST) * eps) * 0.999 <= radii[-1] <= MOST * eps * 1.001


def test_a_misclassified_sample_makes_the_grid_no_longer():
    near = distances([0.12])
    assert (
        grid([distances([0.12], wrong=1)], "Linf", EPS).tolist()
        == grid([near], "Linf", EPS).tolist()
    )


@pytest.mark.parametrize(("robust", "said"), [(5, "no"), (6, "no"), (7, "yes")])
def test_the_check_stands_at_eps_alone_and_says_whether_the_curve_is_above(robust, said):
    rows = curve(distances([0.2] * robust + [0.05] * (10 - robust)))
    (checked,) = rows[rows.above_autoattack != ""].to_dict("records")
    assert checked["eps"] == EPS
    assert checked["above_autoattack"] == said
    assert {name: checked[f"autoattack_{name}"] for name in AUTOATTACK} == AUTOATTACK
    assert rows.autoattack_percent.notna().sum() == 1

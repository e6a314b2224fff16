"""Where distances and AutoAttack disagree about a sample, each disagreement is counted once."""

import numpy as np
import pandas as pd
import pytest

from thin_ice.evaluation.same_samples import DifferentSamples
from thin_ice.margins.agreement import contradictions

EPS = 0.1
SAMPLES = [  # correct, robust, distance
    (True, True, 0.2),  # standing, as its distance says
    (True, True, np.inf),  # the same: no flip was found anywhere
    (True, True, 0.05),  # standing, yet flipped
    (True, True, EPS),  # the ball is closed: flipped
    (True, False, 0.05),  # broken, as its distance says
    (True, False, EPS),
    (True, False, 0.11),  # broken, yet farther
    (True, False, np.inf),
    (False, False, 0.3),  # misclassified: AutoAttack had nothing to break
]


def tables(order=slice(None)):
    table = pd.DataFrame(SAMPLES, columns=["correct", "robust", "distance_linf"])
    table.insert(0, "sample_id", np.arange(len(table)) + 7)
    return table.drop(columns="distance_linf"), table.drop(columns="robust").iloc[order]


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_each_kind_of_contradiction_is_counted(order):
    samples, distances = tables(order)
    assert contradictions(distances, samples, "Linf", EPS) == {
        "broken": 4,
        "broken_but_farther": 2,
        "standing": 4,
        "standing_but_flipped": 2,
    }


def test_tables_of_other_samples_are_refused():
    samples, distances = tables(slice(1, None))
    with pytest.raises(DifferentSamples):
        contradictions(distances, samples, "Linf", EPS)

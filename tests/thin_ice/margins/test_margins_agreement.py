"""Where distances and AutoAttack disagree about a sample, each disagreement is counted once; and
where either contradicts a certificate.
"""

import math

import numpy as np
import pandas as pd
import pytest

from thin_ice.evaluation.same_samples import DifferentSamples
from thin_ice.margins.agreement import certificates_against_attacks, contradictions

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


PROOFS = [  # correct, robust, signed distance, verified, certified radius
    (True, True, 0.3, True, 0.25),  # proved, and no attack says otherwise
    (True, True, 0.3, False, 0.0),  # nothing proved
    (True, True, np.inf, True, 0.2),  # no flip was found anywhere
    (True, False, 0.05, False, 0.02),  # broken at eps, which was not proved
    (True, False, 0.05, True, 0.02),  # verified, yet broken
    (True, False, 0.3, False, 0.2),  # proved by its radius, yet broken
    (True, True, 0.15, False, 0.16),  # a flip within its radius
    (False, False, -0.2, False, -0.1),  # proved wrong, and so it stays
    (False, False, -0.2, False, -0.3),  # a perturbation within its radius makes it right
    (False, False, -np.inf, False, -0.3),  # none was found
    (False, False, -0.3, True, 0.2),  # proved right, and wrong without any attack
]


def proved(order=slice(None), **changed):
    """Samples, distances and what was proved, the last in an order of its own."""
    columns = ["correct", "robust", "signed_distance_linf", "verified", "certified_radius"]
    table = pd.DataFrame(PROOFS, columns=columns).assign(**changed)
    table.insert(0, "sample_id", np.arange(len(table)) + 7)
    samples, distances = table[["sample_id", "correct", "robust"]], table[["sample_id", columns[2]]]
    distances = distances.sample(frac=1, random_state=1)
    return table[["sample_id", "verified", "certified_radius"]].iloc[order], samples, distances


def contradicted(certified, samples, distances, at=EPS, norm="Linf"):
    return certificates_against_attacks(certified, at, samples, distances, norm, EPS)


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_each_certificate_that_an_attack_contradicts_is_counted(order):
    """Three broken though verified or proved by radius; three flips on the proved side."""
    found = contradicted(*proved(order))
    assert found == {"verified_but_broken": 3, "certified_beyond_distance": 3}


def test_verified_at_less_than_autoattacks_eps_contradicts_nothing_when_broken():
    tables = proved(certified_radius=0.0)
    assert contradicted(*tables)["verified_but_broken"] == 2
    assert contradicted(*tables, at=EPS / 2)["verified_but_broken"] == 0
    assert contradicted(*tables, at=2 * EPS)["verified_but_broken"] == 2


def test_a_flip_at_the_radius_up_to_single_precision_is_no_contradiction():
    radius = np.array([0.1 + 1e-9, 0.1 * (1 + 5e-7), 0.1 * (1 + 2e-6)] + [0.0] * 8)
    tables = proved(certified_radius=radius, signed_distance_linf=np.float32(0.1))
    assert contradicted(*tables)["certified_beyond_distance"] == 1


def test_what_cannot_be_held_against_anything_is_not_counted():
    certified, samples, distances = proved()
    found = contradicted(certified, samples, distances, norm="L2")
    assert found["verified_but_broken"] == 3
    assert math.isnan(found["certified_beyond_distance"])
    found = contradicted(certified.drop(columns="certified_radius"), samples, distances)
    assert found["verified_but_broken"] == 2
    assert math.isnan(found["certified_beyond_distance"])
    found = contradicted(None, samples, distances, at=None)
    assert list(found) == ["verified_but_broken", "certified_beyond_distance"]
    assert all(math.isnan(count) for count in found.values())


def test_what_was_proved_of_other_samples_is_refused():
    with pytest.raises(DifferentSamples, match="what was proved of it are of 11 and of 10"):
        contradicted(*proved(slice(1, None)))
    certified, samples, distances = proved()
    with pytest.raises(DifferentSamples, match="its distances are of 11 and of 10"):
        contradicted(certified, samples, distances.iloc[1:])

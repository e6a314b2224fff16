"""Catastrophic overfitting, by histories written by hand."""

import math

import pytest

from thin_ice.catastrophe import FALL, LEAST, catastrophic_epoch, warn_of

NAN = math.nan


def history(robust, single):
    """A row an epoch; of an epoch that was not validated (None) without the accuracies."""
    rows = []
    for epoch, accuracies in enumerate(zip(robust, single, strict=True), 1):
        names = ("validation_robust", "validation_single_step")
        found = zip(names, accuracies, strict=True)
        rows.append({"epoch": epoch} | {n: value for n, value in found if value is not None})
    return rows


CASES = {
    "healthy": ([0.2, 0.3, 0.4, 0.42], [0.3, 0.4, 0.5, 0.55], None),
    "noisy": ([0.2, 0.4, 0.3, 0.25, 0.4], [0.3, 0.5, 0.45, 0.5, 0.5], None),
    "fallen at once": ([0.3, 0.4, 0.02, 0.0], [0.4, 0.5, 0.9, 0.95], 3),
    "fallen, single step stays": ([0.4, 0.1], [0.5, 0.5], 2),
    "fallen and come back": ([0.4, 0.1, 0.4], [0.5, 0.8, 0.5], 2),
    "both fall": ([0.4, 0.1, 0.1], [0.5, 0.1, 0.2], None),
    "both fall, the single step comes back": ([0.4, 0.1, 0.1], [0.5, 0.1, 0.4], 3),
    "slowly": ([0.4, 0.35, 0.25, 0.21, 0.19], [0.5, 0.6, 0.7, 0.8, 0.9], 5),
    "just half is no fall": ([0.4, 0.2], [0.5, 0.9], None),
    "of a single step just half is none either": ([0.4, 0.1], [0.8, 0.4], 2),
    "one answer for everything, then learning": ([0.1, 0.0, 0.3], [0.1, 0.3, 0.4], None),
    "never robust": ([0.0, 0.0, 0.0], [0.5, 0.8, 0.9], None),
    "just enough to fall from": ([LEAST, 0.09], [0.3, 0.9], 2),
    "too little to fall from": ([LEAST - 0.01, 0.0], [0.3, 0.9], None),
    "not validated": ([0.4, None, 0.1], [0.5, None, 0.9], 3),
    "not a number": ([0.4, NAN, 0.1], [0.5, NAN, 0.9], 3),
    "another objective": ([0.4, 0.0], [None, None], None),
    "another objective, as read from a file": ([0.4, 0.0], [NAN, NAN], None),
    "benign": ([None, None], [None, None], None),
    "nothing": ([], [], None),
}


@pytest.mark.parametrize("name", CASES)
def test_the_first_catastrophic_epoch_is_found(name):
    robust, single, expected = CASES[name]
    assert catastrophic_epoch(history(robust, single)) == expected


def test_the_rule_is_the_one_that_is_written_down():
    assert (FALL, LEAST) == (0.5, 0.2)


def test_one_warning_is_given_and_names_epoch_and_accuracies(messages):
    robust, single, _ = CASES["fallen at once"]
    rows = history(robust, single)
    for epoch in range(len(rows) + 1):
        warn_of(rows[:epoch])
    (said,) = messages()
    assert "catastrophic overfitting in epoch 3" in said
    assert "under PGD is 2.0 % (best so far: 40.0 %)" in said
    assert "single step that trains the network 90.0 %" in said


@pytest.mark.parametrize("name", ["healthy", "both fall", "another objective", "nothing"])
def test_where_there_is_none_nothing_is_said(messages, name):
    robust, single, _ = CASES[name]
    rows = history(robust, single)
    for epoch in range(len(rows) + 1):
        warn_of(rows[:epoch])
    assert messages() == []

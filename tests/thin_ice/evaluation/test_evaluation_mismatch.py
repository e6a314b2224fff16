"""Trained with A, fine-tuned with B: what is lost against B before and after, and of whom."""

import math

import pandas as pd
import pytest

from thin_ice.evaluation.mismatch import COLUMNS, mismatch_table

GOALS = {"natural": "benign", "pgd_at": "empirical", "ibp": "verified", "noise": "smoothed"}
PERCENT = ("clean", "claimed", "autoattack", "verified", "smoothed")


def network(trained, tuned, values, label="lwm", seed=0, sparsity=0.9, **others):
    """A row of the table of accuracies. ``values``: by measure in percent, others unmeasured."""
    names = {"run": f"digits-cnn-{trained}", "seed": seed, "variant": f"{label}-{sparsity:g}"}
    names |= {"method": label, "kind": "lwm", "unit": "weight", "sparsity": sparsity}
    names |= {"trained_with": trained, "tuned_with": tuned, "protocol": "pgd"}
    names |= {"goal": GOALS[trained], "tuned_goal": GOALS.get(tuned, GOALS[trained])}
    measured = {f"{what}_percent": values.get(what, math.nan) for what in PERCENT}
    return names | measured | others


def dense(trained, **others):
    row = network(trained, "none", {"clean": 99.0}, sparsity=0.0)
    return row | {"variant": "dense", "method": "dense", "kind": "dense", "unit": "none"} | others


def table(*rows):
    return mismatch_table(pd.DataFrame(rows))


def cell(found, trained, tuned, measure, **wanted):
    rows = found[(found.trained_with == trained) & (found.tuned_with == tuned)]
    rows = rows[rows.measure == measure]
    for name, value in wanted.items():
        rows = rows[rows[name] == value]
    (row,) = rows.itertuples()
    return row


PAIRS = [  # two seeds of every pair of two objectives, tuned with their own or by a label's choice
    network("pgd_at", "pgd_at", {"clean": 90.0, "autoattack": 60.0, "verified": 1.0}),
    network("pgd_at", "pgd_at", {"clean": 92.0, "autoattack": 64.0, "verified": 3.0}, seed=1),
    network("pgd_at", "ibp", {"clean": 70.0, "autoattack": 50.0, "verified": 30.0}, "lwm_ibp"),
    network("pgd_at", "ibp", {"clean": 72.0, "autoattack": 52.0, "verified": 20.0}, "lwm_ibp", 1),
    network("ibp", "ibp", {"clean": 80.0, "autoattack": 58.0, "verified": 40.0}),
    network("ibp", "ibp", {"clean": 78.0, "autoattack": 56.0, "verified": 44.0}, seed=1),
]


def test_what_is_lost_is_told_against_the_pair_that_fine_tuned_alike():
    found = table(*PAIRS)
    row = cell(found, "pgd_at", "ibp", "verified")
    assert (row.percent, row.lowest, row.highest, row.networks, row.seeds) == (25, 20, 30, 2, 2)
    assert row.lost_points == 42 - 25
    assert cell(found, "pgd_at", "ibp", "benign").lost_points == 79 - 71
    assert cell(found, "ibp", "ibp", "verified").lost_points == 0
    assert cell(found, "pgd_at", "pgd_at", "autoattack").percent == 62


def test_a_pair_whose_matched_one_is_not_there_is_told_without_a_loss():
    found = table(*PAIRS[:4])
    row = cell(found, "pgd_at", "ibp", "verified")
    assert row.percent == 25
    assert math.isnan(row.lost_points)


def test_the_measure_that_fine_tuning_is_after_is_marked():
    values = dict.fromkeys(PERCENT, 50.0)
    rows = [network("natural", tuned, values, f"lwm_{tuned}") for tuned in GOALS]
    found = table(*rows)
    marked = {
        tuned: set(found.measure[(found.tuned_with == tuned) & found.of_goal]) for tuned in GOALS
    }
    assert marked == {
        "natural": {"benign"},
        "pgd_at": {"empirical", "autoattack"},
        "ibp": {"verified"},
        "noise": {"smoothed"},
    }


def test_labels_of_one_kind_are_one_group_and_a_seeds_networks_are_averaged_first():
    """Fine-tuned with the run's own objective and with the label's, which is the same."""
    twice = [
        network("ibp", "ibp", {"clean": 60.0}, "lwm_ibp"),
        network("ibp", "ibp", {"clean": 70.0}),
        network("ibp", "ibp", {"clean": 85.0}, seed=1),
    ]
    row = cell(table(*twice, PAIRS[2]), "ibp", "ibp", "benign")
    assert (row.percent, row.networks, row.seeds) == (75, 3, 2)
    assert (row.lowest, row.highest) == (60, 85)


@pytest.mark.parametrize(
    "other",
    [
        {"run": "mnist-cnn-ibp"},
        {"run": "digits-wrn-ibp"},
        {"kind": "hydra"},
        {"unit": "filter"},
        {"sparsity": 0.99},
    ],
    ids=lambda one: next(iter(one)),
)
def test_groups_are_kept_apart_and_those_without_a_mismatch_left_out(other):
    found = table(*PAIRS[:4], *(row | other for row in PAIRS[4:]))
    assert math.isnan(cell(found, "pgd_at", "ibp", "verified").lost_points)
    assert not ((found.trained_with == "ibp") & (found.tuned_with == "ibp")).any()


def test_datasets_and_models_are_named():
    found = table(*PAIRS)
    assert (set(found.dataset), set(found.model)) == ({"digits"}, {"cnn"})
    assert found.columns.tolist() == list(COLUMNS)


def test_a_measure_that_was_not_taken_has_no_row():
    assert set(table(*PAIRS).measure) == {"benign", "autoattack", "verified"}


def test_claimed_protocols_are_kept_apart_and_count_a_network_once_elsewhere():
    values = {"clean": 50.0, "claimed": 40.0}
    mixed = network("pgd_at", "ibp", values, "lwm_ibp")
    mixed_too = mixed | {"protocol": "other", "claimed_percent": 20.0}
    found = table(mixed, mixed_too)
    told = {(row.measure, row.protocol): (row.percent, row.networks) for row in found.itertuples()}
    assert told == {
        ("benign", "none"): (50, 1),
        ("empirical", "pgd"): (40, 1),
        ("empirical", "other"): (20, 1),
    }


def test_a_claim_is_held_against_one_by_the_same_protocol_alone():
    values = {"clean": 50.0, "claimed": 40.0}
    mixed = network("pgd_at", "ibp", values, "lwm_ibp")
    matched = network("ibp", "ibp", {"clean": 60.0, "claimed": 70.0}, protocol="other")
    found = table(mixed, matched)
    assert cell(found, "pgd_at", "ibp", "benign").lost_points == 10
    assert math.isnan(cell(found, "pgd_at", "ibp", "empirical").lost_points)
    found = table(mixed, matched | {"protocol": "pgd"})
    assert cell(found, "pgd_at", "ibp", "empirical").lost_points == 30


def test_dense_networks_are_no_pair():
    again = dense("ibp", variant="dense_again", method="dense_again", tuned_with="ibp")
    assert not table(dense("pgd_at"), *PAIRS, again).isin(["dense", "dense_again"]).any(axis=None)
    assert table(dense("pgd_at"), dense("ibp"), again).empty


@pytest.mark.parametrize("rows", [(dense("ibp"),), (PAIRS[0], PAIRS[4])], ids=["dense", "alike"])
def test_without_a_mismatch_the_table_has_its_columns_and_no_row(rows):
    found = table(*rows)
    assert (len(found), found.columns.tolist()) == (0, list(COLUMNS))

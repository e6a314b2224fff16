"""Flagged cells are marked, and what the marks mean stands beside them."""

import pytest
from make_tables import make_finished

from thin_ice.evaluation.flags import INDICATORS
from thin_ice.evaluation.summary import NO_PROTOCOL
from thin_ice.figures import caveats as c
from thin_ice.figures.headline import headline_cells, headline_table
from thin_ice.figures.indicator_cells import (
    APGD_NAME,
    indicator_cells,
    legend,
    marks,
    together,
)


@pytest.mark.parametrize(
    ("flags", "mark"), [("none", ""), ("I1", " ⁽¹⁾"), ("I3 I4", " ⁽³ ⁴⁾"), ("I6", " ⁽⁶⁾")]
)
def test_flags_become_superscripts(flags, mark):
    assert marks(flags) == mark


def test_flags_of_seeds_are_joined():
    assert together(["none", "none"]) == "none"
    assert together(["I4", "none", "I3 I4"]) == "I3 I4"


def test_the_headline_marks_the_claimed_and_the_autoattack_cell_by_their_own_attacks():
    finished = make_finished()
    accuracy = finished.accuracy
    one = (accuracy.method == "m0") & (accuracy.sparsity == 0.9) & (accuracy.seed == 1)
    accuracy.loc[one, ["claimed_flags", "apgd_flags"]] = "I3", "I6"
    header, rows = headline_cells(headline_table(accuracy))
    claimed, autoattack = header.index("claimed (%)"), header.index("AutoAttack (%)")
    marked = {
        row[0]: (row[claimed].split(" ⁽")[1:], row[autoattack].split(" ⁽")[1:]) for row in rows
    }
    assert marked["m0 0.9"] == (["³ ⁴⁾"], ["⁶⁾"])  # I4 in the other seed
    assert marked["m1 0.9"] == (["⁴⁾"], [])


def test_the_legend_names_every_indicator_with_its_limit():
    said = legend()
    for number, name in zip("¹²³⁴⁵⁶", INDICATORS, strict=True):
        assert f"{number} {name.replace('_', ' ')} (" in said
    assert "⁴ incomplete optimisation (5 %)" in said


def test_the_table_has_a_row_a_protocol_and_one_for_apgd():
    finished = make_finished(seeds=(0,), sparsities=(0.9,))
    finished.accuracy.loc[finished.accuracy.variant == "dense", "apgd_i1"] = float("nan")
    header, rows = indicator_cells(finished.accuracy)
    attack, raised = header.index("attack"), header.index("raised")
    assert [(row[0], row[attack]) for row in rows] == [
        *(("dense", name) for name in ("pgd_m0", "pgd_m1", "AutoAttack's APGD")),
        *(("m0 0.9", name) for name in ("pgd_m0", "AutoAttack's APGD")),
        *(("m1 0.9", name) for name in ("pgd_m1", "AutoAttack's APGD")),
        ("dense, fine-tuned again", "AutoAttack's APGD"),
    ]
    assert rows[0][header.index("incomplete optimisation")] == "8.0"
    assert rows[2][header.index("unavailable gradients")] == "–"
    assert [row[raised] for row in rows[:3]] == ["I4", "I4", "none"]
    assert all(len(row) == len(header) for row in rows)


def test_a_network_of_which_nobody_claims_anything_has_its_apgd_alone():
    accuracy = make_finished(seeds=(0,)).accuracy
    header, rows = indicator_cells(accuracy.head(1).assign(protocol=NO_PROTOCOL))
    assert [row[header.index("attack")] for row in rows] == [APGD_NAME]


def test_several_runs_have_a_column():
    header, rows = indicator_cells(make_finished(runs=2, seeds=(0,)).accuracy)
    assert header[0] == "run"
    assert len({row[0] for row in rows}) == 2


def test_raised_indicators_are_a_caveat_with_counts_and_none_are_no_caveat():
    accuracy = make_finished().accuracy
    assert c.attack_failures(accuracy.assign(claimed_flags="none")) == []
    (said,) = c.attack_failures(accuracy)
    assert said.startswith(
        "Indicators of attack failure are raised in 12 of 12 evaluations by a claimed protocol "
        "(incomplete optimisation in 12)"
    )
    accuracy.loc[accuracy.variant == "m0-0.9", "apgd_flags"] = "I1 I6"
    _, of_apgd = c.attack_failures(accuracy)
    # 2 seeds of a dense network, of 4 pruned ones, and of one fine-tuned again
    assert "in 2 of 12 evaluations by AutoAttack's APGD" in of_apgd
    assert "unavailable gradients in 2 and unconstrained failure in 2" in of_apgd

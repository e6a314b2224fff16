"""The security figure and its words tell where a curve contradicts AutoAttack."""

from dataclasses import replace

import numpy as np
from make_tables import EPS, make_finished

from thin_ice.figures import caveats, security, theme
from thin_ice.figures.optimality_cells import optimality_cells
from thin_ice.figures.sentences import security_sentence


def finished_with_one_above():
    finished = make_finished()
    curves = finished.curves
    row = curves.index[(curves.above_autoattack == "no") & (curves.variant == "m0-0.9")][0]
    curves.loc[row, ["above_autoattack", "robust_percent"]] = ["yes", 99.5]
    return finished


def rings(finished):
    with theme.theme():
        figure = security.draw(security.table(finished), finished)
    lines = [line for ax in figure.axes for line in ax.lines]
    return [line for line in lines if line.get_markeredgecolor() == theme.ALARM]


def test_a_curve_above_the_interval_is_ringed_and_no_other():
    assert not rings(make_finished())
    assert len(rings(finished_with_one_above())) == 1


def test_dense_networks_that_nothing_is_pruned_from_have_a_panel():
    finished = make_finished()
    curves = security.table(finished)
    dense = curves[curves.method == "dense"]
    with theme.theme():
        figure = security.draw(dense, finished)
    drawn = [line for ax in figure.axes for line in ax.lines if len(line.get_xdata()) > 2]
    assert len(drawn) == dense.seed.nunique()


def test_a_curve_above_the_interval_is_named_among_the_caveats():
    assert caveats.too_robust_curves(make_finished().curves) == []
    (said,) = caveats.too_robust_curves(finished_with_one_above().curves)
    assert said.startswith("m0-0.9 of digits-net0-pgd_at, seed 0")
    assert "99.5 %" in said
    assert said in caveats.caveats(finished_with_one_above())


def test_the_sentence_counts_networks_and_those_above():
    sentence = security_sentence(make_finished().curves)
    assert "12 networks" in sentence
    assert "-2.0 points" in sentence
    assert "none of them above" in sentence
    assert " 1 of them above" in security_sentence(finished_with_one_above().curves)


def test_the_sentence_tells_of_samples_that_nothing_flipped():
    finished = make_finished()
    finished.curves.loc[finished.curves.variant == "dense", "failed_percent"] = 5.0
    assert "2 have samples that no attack flipped" in security_sentence(finished.curves)


def test_there_is_a_line_for_every_network_of_a_panel_and_a_check_for_each():
    finished = make_finished(methods=1, seeds=(0, 1, 2))
    with theme.theme():
        figure = security.draw(security.table(finished), finished)
    panel = figure.axes[0]
    curves = [line for line in panel.lines if len(line.get_xdata()) == 41]
    assert len(curves) == len(panel.containers) == 3 * 4


def panel_of(finished):
    with theme.theme():
        return security.draw(security.table(finished), finished).axes[0]


def test_a_control_is_a_thinner_line_than_the_dense_network_and_has_a_key():
    again, without = make_finished(methods=1), make_finished(methods=1, again=False)
    lines = [line for line in panel_of(again).lines if len(line.get_xdata()) == 41]
    widths = sorted(line.get_linewidth() for line in lines)
    assert widths[0] == widths[1] < widths[2] / 2
    assert [line.get_markerfacecolor() for line in checks(panel_of(again))].count("white") == 2
    keys = [text.get_text() for text in panel_of(again).figure.legends[0].get_texts()]
    assert "dense, fine-tuned again" in keys
    assert sum(key.startswith("sparsity") for key in keys) == 2
    keys = [text.get_text() for text in panel_of(without).figure.legends[0].get_texts()]
    assert "dense, fine-tuned again" not in keys


def checks(panel):
    return [line for line in panel.lines if line.get_marker() == "s"]


def test_checks_stand_on_the_panel_though_eps_ends_it_and_there_are_many():
    study = {"methods": 1, "sparsities": (0.5, 0.9, 0.95, 0.99), "seeds": range(3)}
    finished = make_finished(**study, samples=10)
    curves = finished.curves
    panel = panel_of(replace(finished, curves=curves[curves.eps < 1.001 * EPS]))
    low, high = panel.get_xlim()
    places = sorted(float(line.get_xdata()[0]) for line in checks(panel))
    assert len(places) == 3 * 6
    assert low < places[0] < EPS < places[-1] < high
    assert EPS <= high < 1.2 * EPS
    assert places[-1] - places[0] <= 0.2 * EPS
    assert panel.get_ylim()[0] < 0 < 100 < panel.get_ylim()[1]


def test_checks_stand_on_the_panel_though_eps_is_near_its_beginning():
    panel = panel_of(make_finished(methods=1, seeds=(0,), eps=EPS / 1000))
    assert panel.get_xlim()[0] < -security.DODGE * EPS


def test_a_control_leaves_the_styles_of_sparsities_as_they_are():
    with_it, without = (make_finished(methods=1, again=again).curves for again in (True, False))
    assert security.line_styles(with_it) == security.line_styles(without)
    assert len(set(security.line_styles(with_it).values())) == 2


def test_few_checks_keep_their_distance_and_the_axis_its_ends():
    panel = panel_of(make_finished(methods=1, seeds=(0,)))
    places = sorted(float(line.get_xdata()[0]) for line in checks(panel))
    assert np.allclose(np.diff(places), security.DODGE * 2 * EPS)
    assert np.isclose(np.mean(places), EPS)
    assert panel.get_xlim() == (0, 2 * EPS)


def test_the_attacks_table_has_means_over_networks_best_first():
    finished = make_finished()
    headings, rows = optimality_cells(finished.optimality, finished.study)
    assert len(headings) == len(rows[0])
    assert [row[1].split()[0] for row in rows] == ["FMN", "FAB"]
    assert rows[0][2] == "0.895 (0.890)"

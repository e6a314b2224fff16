"""What pruning keeps, objectives that differ, and what is proved: marks, tables and sentences."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from make_tables import EPS, PROOF, make_finished
from matplotlib.colors import to_hex

from thin_ice.evaluation.preservation import averages
from thin_ice.figures import caveats, certified, mismatch, preservation, smoothed, theme
from thin_ice.figures import kept_sentences as say
from thin_ice.figures.gallery import show
from thin_ice.figures.headline import headline_cells, headline_table
from thin_ice.figures.report import SECTIONS, render
from thin_ice.figures.results import RESULTS, tabled
from thin_ice.figures.what_was_run import what_was_run

MIXED = {"objectives": ("pgd_at", "natural", "ibp"), "sparsities": (0.9,), "samples": 20}


@pytest.fixture(scope="module")
def finished():
    """Three objectives, a method that is fine-tuned after verification and one that is not."""
    return make_finished(**MIXED)


def drawn(module, finished):
    rows = module.table(finished)
    with theme.theme():
        return [ax for ax in module.draw(rows, finished).axes if ax.axison], rows


def marks(panel, shape):
    lines = [line for line in panel.lines if line.get_marker() == shape]
    return [(line.get_xdata()[0], line.get_ydata()[0], line) for line in lines]


def test_a_network_was_trained_for_a_measure_if_both_objectives_are_after_it(finished):
    rows = preservation.table(finished)
    own = rows[(rows.shown == "network") & (rows.own == "yes")]
    found = set(zip(own.measure, own.run.str.split("-").str[2], own.method, strict=True))
    pruned = {one for one in found if one[2] in ("m0", "m1")}
    # m0 is fine-tuned with ibp, m1 with what trained the network.
    assert pruned == {
        *(("benign", run, "m1") for run in ("pgd_at", "natural", "ibp")),
        ("benign", "ibp", "m0"),
        *(("empirical", "pgd_at", "m1"), ("autoattack", "pgd_at", "m1")),
        *(("verified", "ibp", method) for method in ("m0", "m1")),
    }


def test_every_ratio_is_a_point_and_means_are_over_the_points_that_they_say(finished):
    panels, rows = drawn(preservation, finished)
    verified = rows[(rows.measure == "verified") & (rows.method == "m0")]
    place = 0
    networks = verified[verified.shown == "network"]
    here = [(x, y, line) for x, y, line in marks(panels[3], "o") if abs(y - place) < 0.3]
    assert sorted(x for x, _, _ in here) == pytest.approx(sorted(networks.kept_percent))
    white = sum(to_hex(line.get_markerfacecolor()) == "#ffffff" for *_, line in here)
    assert white == (networks.own == "no").sum() == 4
    lines = [
        one
        for one in panels[3].lines
        if np.mean(one.get_ydata()) == place and len(one.get_xdata()) == 2
    ]
    means = sorted(one.get_xdata()[0] for one in lines)
    own = networks[networks.own == "yes"].kept_percent.mean()
    assert means == pytest.approx(sorted([own, networks.kept_percent.mean()]))
    thick = max(lines, key=lambda one: one.get_linewidth())
    assert thick.get_xdata()[0] == pytest.approx(own)


def test_published_averages_stand_at_ten_times_smaller_alone():
    panels, _ = drawn(preservation, make_finished(samples=20))
    stars = [{(x, y) for x, y, _ in marks(panel, "*")} for panel in panels]
    places = (0, 2)  # m0 0.9 and m1 0.9, each before its 0.99
    expected = ({93.0}, {92.5}, set(), {85.0}, set())
    assert [{x for x, _ in one} for one in stars] == list(expected)
    assert all({y for _, y in one} in (set(), set(places)) for one in stars)


def test_what_is_kept_beyond_the_axis_is_an_arrow_at_its_end_and_nothing_is_no_point(finished):
    kept = finished.preservation.copy()
    here = (kept.measure == "verified") & (kept.method == "m1")
    kept.loc[here, "kept_percent"] = [400.0, *[np.nan] * (here.sum() - 1)]
    panels, _ = drawn(preservation, replace(finished, preservation=kept, averages=averages(kept)))
    arrows = marks(panels[3], ">")
    assert [(x, round(y)) for x, y, _ in arrows] == [(preservation.FARTHEST, 1)]
    assert not [y for _, y, _ in marks(panels[3], "o") if abs(y - 1) < 0.3]


@pytest.mark.parametrize("column", ["collapse", "dense_collapse"])
def test_a_collapsed_network_is_a_cross_and_is_told(finished, column):
    kept = finished.preservation.copy()
    kept.loc[(kept.method == "m1") & (kept.seed == 0), column] = "at_chance"
    study = replace(finished, preservation=kept, averages=averages(kept))
    panels, rows = drawn(preservation, study)
    assert len(marks(panels[0], "x")) == 3  # a run each
    sentence = say.preservation_sentence(rows)
    assert sentence.endswith("; 3 networks among them collapsed or came from one that did.")
    assert "collapsed" not in say.preservation_sentence(preservation.table(finished))


def means(**columns):
    row = {"shown": "mean", "own": "yes", "method": "m", "sparsity": 0.9, "measure": "benign"}
    row |= {"networks": 4, "kept_percent": 91.0, "published_percent": 93.0, "collapsed": 0}
    return pd.DataFrame([row | columns])


def test_averages_are_said_beside_the_published_ones():
    rows = pd.concat(
        [
            means(),
            means(method="n", kept_percent=95.04, networks=2),
            means(own="no", kept_percent=10.0, networks=9),
            means(measure="verified", own="no", kept_percent=50.0, published_percent=85.0),
            means(sparsity=0.99, kept_percent=1.0, published_percent=np.nan),
            means(method="dense_again", kept_percent=101.0),
        ]
    )
    assert say.preservation_sentence(rows) == (
        "At sparsity 0.9 2 methods keep on average: benign 91.0 to 95.0 % (2 to 4 networks trained "
        "for it; published 93.0 %), verified 50.0 % (4 networks, none trained for it; published "
        "85.0 %)."
    )


def test_without_the_published_sparsity_the_highest_is_said():
    rows = pd.concat([means(sparsity=s, published_percent=np.nan) for s in (0.5, 0.99)])
    sentence = say.preservation_sentence(rows)
    assert sentence.startswith("At sparsity 0.99 1 method keeps")
    assert "published" not in sentence
    nothing = means(kept_percent=np.nan)
    assert say.preservation_sentence(nothing).startswith("No pruned network has a dense one")


def pair(trained, tuned, lost, of_goal=True, measure="verified", sparsity=0.9):
    group = {"dataset": "d", "model": "m", "kind": "lwm", "unit": "weight", "sparsity": sparsity}
    names = {"trained_with": trained, "tuned_with": tuned, "measure": measure, "protocol": "none"}
    return group | names | {"lost_points": lost, "of_goal": of_goal, "percent": 50.0 - lost}


def test_the_matched_pair_is_held_against_every_other_of_its_column():
    rows = pd.DataFrame(
        [
            pair("ibp", "ibp", 0.0),
            pair("pgd_at", "ibp", 3.0),
            pair("natural", "ibp", -1.0),
            pair("pgd_at", "ibp", 0.0, sparsity=0.99),
            pair("natural", "pgd_at", -20.0, of_goal=False),
            pair("ibp", "natural", 5.0, measure="benign"),
            pair("ibp", "smoothing", np.nan, measure="smoothed"),
        ]
    )
    assert say.mismatch_sentence(rows) == (
        "Fine-tuned after a measure, networks trained with the same objective have at least as "
        "much of it as those trained with any other: benign in 1 of 1 (the others lose 5.0 "
        "points), verified in 1 of 2 (the others lose -1.0 to 3.0 points)."
    )
    assert say.mismatch_sentence(rows[:1]).startswith("No network was trained and fine-tuned")


def test_a_cell_holds_what_a_pair_reaches_and_how_far_that_is_from_the_matched_one(finished):
    panels, rows = drawn(mismatch, finished)
    titles = [panel.get_title(loc="left").rpartition("\n")[2] for panel in panels]
    measures = ("benign", "empirical", "empirical", "AutoAttack", "verified", "smoothed")
    assert titles == [f"{measure} (%)" for measure in measures]
    protocols = [panel.get_title(loc="left").partition("\n")[0] for panel in panels[1:3]]
    assert protocols == ["pgd_m0", "pgd_m1"]
    assert panels[0].get_title(loc="left") == "net0 on digits, lwm0 (weight) 0.9\n\nbenign (%)"
    panel = panels[titles.index("verified (%)")]
    columns = [text.get_text() for text in panel.get_xticklabels()]
    lines = [text.get_text() for text in panels[0].get_yticklabels()]
    assert columns == lines == ["ibp", "natural", "pgd_at"]
    found = {
        (lines[round(text.get_position()[1])], columns[round(text.get_position()[0])]): text
        for text in panel.texts
    }
    here = rows[rows.measure == "verified"].set_index(["trained_with", "tuned_with"])
    assert set(found) == set(here.index)
    for key, text in found.items():
        percent, lost = here.loc[key, ["percent", "lost_points"]]
        expected = f"{percent:.1f}" + f"\n−{lost:.1f}" * (key[0] != key[1])
        assert text.get_text() == expected
    outlined = [one for one in panel.patches if to_hex(one.get_edgecolor()) == "#d55e00"]
    assert sorted(one.get_xy() for one in outlined) == [(n - 0.5, n - 0.5) for n in range(3)]


def test_a_gain_has_a_plus_and_no_difference_no_sign(finished):
    table = finished.mismatch.copy()
    mixed = table.trained_with != table.tuned_with
    table.loc[mixed, "lost_points"] = np.where(table.measure[mixed] == "benign", -2.0, 0.04)
    panels, _ = drawn(mismatch, replace(finished, mismatch=table))
    tails = [{t.get_text().partition("\n")[2] for t in ax.texts} - {""} for ax in panels]
    assert tails[0] == {"+2.0"}
    assert tails[3] == {"0.0"}


def test_numbers_are_white_on_dark_cells_and_black_on_light_ones(finished):
    table = finished.mismatch.copy()
    verified = table.measure == "verified"
    table.loc[verified, "percent"] = np.where(table.trained_with[verified] == "ibp", 90.0, 1.0)
    panels, _ = drawn(mismatch, replace(finished, mismatch=table))
    colours = {text.get_text().partition("\n")[0]: text.get_color() for text in panels[4].texts}
    assert colours == {"90.0": "black", "1.0": "white"}


def test_without_differing_objectives_there_is_no_mismatch_and_the_page_says_why(tmp_path):
    finished = make_finished(methods=1, sparsities=(0.9,), samples=20)
    shown = show("mismatch", replace(finished, mismatch=finished.mismatch[:0]), tmp_path)
    assert not shown.drawn
    assert shown.sentence == "Every network was fine-tuned with the objective that trained it."


def test_the_proved_and_the_attacked_curve_bound_what_is_unknown():
    finished = make_finished(samples=20)
    panels, rows = drawn(certified, finished)
    assert [panel.get_title(loc="left") for panel in panels] == [
        *("dense", "m0 0.9", "m0 0.99", "m1 0.9", "m1 0.99", "dense, fine-tuned again")
    ]
    here = rows[rows.method == "dense"]
    curves = [line for line in panels[0].lines if len(line.get_xdata()) > 10]
    assert len(curves) == 4  # two seeds
    for seed, (attacked, proved) in zip((0, 1), (curves[:2], curves[2:]), strict=True):
        own = here[here.seed == seed]
        assert np.allclose(attacked.get_ydata(), own.robust_percent)
        assert np.allclose(proved.get_ydata(), own.certified_percent)
        assert attacked.get_linestyle() == "-"
    (dotted,) = [line for line in panels[0].lines if line.get_linestyle() == ":"]
    assert dotted.get_xdata()[0] == EPS
    assert not any(len(one.get_xdata()) for one in panels[0].lines if one.get_marker() == "o")


def test_a_proof_beyond_a_found_flip_is_ringed_and_said():
    finished = make_finished(methods=1, sparsities=(0.9,), samples=20)
    before = say.certified_sentence(certified.table(finished), EPS)
    assert before.endswith("it is unknown.")
    table = finished.certified
    wrong = (table.proof == "bounds") & (table.method == "m0") & (table.seed == 0) & (table.eps > 0)
    table.loc[wrong, "certified_percent"] = 99.0
    panels, rows = drawn(certified, finished)
    ringed = [line for line in panels[1].lines if to_hex(line.get_markeredgecolor()) == "#c00000"]
    assert sum(len(line.get_xdata()) for line in ringed) == wrong.sum()
    said = say.certified_sentence(rows, EPS)
    assert said.endswith("it is unknown; 1 network with proofs beyond a found flip.")


def test_the_certified_sentence_speaks_of_the_study_s_eps():
    curves = pd.DataFrame(
        {
            **{"run": "r", "seed": [0, 0, 1, 1], "method": "m", "sparsity": 0.9},
            **{"at_eps": ["no", "yes"] * 2, "certified_percent": [80.0, 20.0, 80.0, 25.0]},
            "robust_percent": [90.0, 50.0, 90.0, 45.0],
        }
    )
    assert say.certified_sentence(curves, 0.1) == (
        "At ε = 0.1 (25.5/255), 20.0 to 25.0 % of the samples of 2 networks are proved robust and "
        "no attack flips 45.0 to 50.0 %, so that of 20.0 to 30.0 % it is unknown."
    )


def test_smoothed_curves_are_lines_of_networks_and_the_axis_ends_where_all_have_ended():
    finished = make_finished(samples=20)
    panels, rows = drawn(smoothed, finished)
    assert set(rows.norm) == {"L2"}
    assert [panel.get_title(loc="left") for panel in panels] == ["m0", "m1"]
    assert len(panels[0].lines) == 2 * 4  # seeds; dense, again, and two sparsities
    own = rows[(rows.method == "m1") & (rows.sparsity == 0.99) & (rows.seed == 1)]
    assert any(np.allclose(line.get_ydata(), own.certified_percent) for line in panels[1].lines)
    end = panels[0].get_xlim()[1]
    shown = rows[rows.method.isin(["dense", "dense_again", "m0"])]
    assert (shown.certified_percent[shown.eps >= end] == 0).all()
    assert (shown.certified_percent[shown.eps == shown.eps[shown.eps < end].max()] > 0).any()


def test_the_smoothed_sentence_is_about_radius_zero_and_one_deviation():
    curves = pd.DataFrame(
        {"eps": [0.0, 0.25, 0.5] * 2, "certified_percent": [60.0, 30.0, 1.0, 50.0, 20.0, 0.0]}
    )
    assert say.smoothed_sentence(curves, 0.25) == (
        "Of 2 smoothed networks, certified accuracy is 50.0 to 60.0 % at radius 0 and 20.0 to "
        "30.0 % at 0.25, the deviation of the noise."
    )


def test_verified_accuracy_is_a_column_only_where_something_was_certified():
    for proved in (True, False):
        accuracy = make_finished(samples=20, certified=proved).accuracy
        header, rows = headline_cells(headline_table(accuracy))
        assert ("verified (%)" in header) == proved
        assert {len(row) for row in rows} == {len(header)}
    accuracy = make_finished(samples=20).accuracy
    header, rows = headline_cells(headline_table(accuracy))
    row = next(row for row in rows if row[0] == "m0 0.9")
    here = accuracy[(accuracy.method == "m0") & (accuracy.sparsity == 0.9)].verified_percent
    assert row[header.index("verified (%)")] == f"{here.mean():.1f} ± {here.std():.1f}"
    without = accuracy.drop(columns=[name for name in accuracy if "verified" in name])
    assert "verified (%)" not in headline_cells(headline_table(without))[0]


def test_the_tables_show_both_accuracies_and_what_is_kept(finished):
    header, rows = RESULTS["preservation"].cells(finished)
    cells = [dict(zip(header, row, strict=True)) for row in rows]
    assert len(cells) == len(finished.preservation)
    row, source = cells[0], finished.preservation.iloc[0]
    assert row["kept (%)"] == (
        f"{source.kept_percent:.1f} [{source.kept_low:.1f}, {source.kept_high:.1f}]"
    )
    assert (row["by protocol"], row["measure"]) == ("–", "benign")
    assert {row["by protocol"] for row in cells} == {"–", "pgd_m0", "pgd_m1"}
    header, rows = RESULTS["averages"].cells(finished)
    cells = [dict(zip(header, row, strict=True)) for row in rows]
    assert {row["published (%)"] for row in cells} == {"93.0", "92.5", "85.0", "–"}
    assert {row["over"] for row in cells} == {"all", "trained for it"}
    header, rows = RESULTS["mismatch"].cells(finished)
    lost = "lost to the same objective twice (points)"
    cells = [dict(zip(header, row, strict=True)) for row in rows]
    mixed = [row for row in cells if row["measure"] == "verified"]
    assert {row[lost] for row in mixed if row["trained with"] == "natural"} == {"6.5", "0.0"}


def test_a_study_that_certifies_nothing_has_no_section_of_proofs_and_says_why(tmp_path):
    finished = make_finished(methods=2, sparsities=(0.9,), samples=20, certified=False)
    names = "preservation", "certified", "smoothed"
    page = render(finished, [show(name, finished, tmp_path) for name in names], [], [], "0" * 64)
    assert '<section id="proved">' not in page
    assert '<section id="preserved">' in page
    absent = page[page.index('id="absent"') : page.index('id="preserved"')]
    assert "No radius was certified." in absent
    assert "No network was smoothed." in absent
    assert SECTIONS["preserved"][0] in page
    for word in ("Certified, every network", "lower bound (", "Smoothing certifies"):
        assert word not in page


def test_what_was_certified_is_said():
    said = what_was_run(make_finished(samples=20))
    assert said[-2] == (
        "Certified, every network: a sample is verified at ε = 0.03137 (8/255) in L∞ if intervals "
        "(IBP) or CROWN-IBP proves it, and its certified radius is sought by 10 bisections."
    )
    assert said[-1] == (
        "Smoothed, every network, by Gaussian noise of σ = 0.25: 100 draws choose a sample's class "
        "and 1000 certify its L2 radius, wrong with probability at most 0.001 (seed 0)."
    )
    finished = make_finished(samples=20)
    study = finished.study | {"certification": PROOF | {"rounds": 0, "smoothing": None}}
    (last,) = what_was_run(replace(finished, study=study))[len(said) - 2 :]
    assert last.endswith("CROWN-IBP proves it.")


def test_bounds_are_said_to_be_lower_ones_and_smoothing_to_be_of_another_network():
    finished = make_finished(samples=20)
    told = caveats.caveats(finished)
    assert any(one.startswith("Verified accuracy is a lower bound (12 networks, ") for one in told)
    assert any("noise of σ = 0.25, in L2" in one and "probability 0.001" in one for one in told)
    accuracy = make_finished(samples=20, certified=False).accuracy
    assert caveats.lower_bounds(accuracy) == caveats.unsound(accuracy) == []
    old = accuracy[[one for one in accuracy if "verified" not in one]]
    assert caveats.lower_bounds(old) == caveats.unsound(old) == []


@pytest.mark.parametrize("column", caveats.DISPROVED)
def test_a_disproved_certificate_is_an_alarm_above_all_numbers(column, tmp_path):
    finished = make_finished(methods=1, sparsities=(0.9,), samples=20)
    assert caveats.unsound(finished.accuracy) == []
    here = (finished.accuracy.method == "m0") & (finished.accuracy.seed == 1)
    finished.accuracy.loc[here, column] = 2
    (said,) = caveats.unsound(finished.accuracy)
    assert said.startswith("m0-0.9 of digits-net0-pgd_at, seed 1: 2 samples ")
    assert caveats.caveats(finished)[0] == said
    page = render(finished, [], [tabled("headline", finished, tmp_path)], [], "0" * 64)
    section = page[page.index('<section id="accuracies">') :]
    assert section.index(f'<p class="alarm">{said.partition(":")[0]}') < section.index("<table>")

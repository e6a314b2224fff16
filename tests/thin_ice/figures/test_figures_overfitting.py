"""Robust overfitting: what the figure draws, and the numbers of its sentence."""

import re
from dataclasses import replace

import numpy as np
import pytest
from make_tables import make_finished
from scipy.stats import ttest_1samp

from thin_ice.figures import overfitting, theme
from thin_ice.figures.gallery import EXHIBITS, show
from thin_ice.figures.results import RESULTS

BOTH = {"methods": 3, "pipelines": ("before", "during", "after"), "samples": 20}


@pytest.fixture(scope="module")
def made():
    return make_finished(**BOTH)


@pytest.fixture
def finished(made):
    """A study whose tables of training and accuracy a test may change."""
    return replace(made, training=made.training.copy(), accuracy=made.accuracy.copy())


def scattered(finished, seed=0):
    """The same study with other numbers: no two networks lose as much."""
    training, rng = finished.training.copy(), np.random.default_rng(seed)
    lost = rng.permutation(len(training)) / 2 + 1
    training["overfitting_points"] = lost
    training["overfitting_low"], training["overfitting_high"] = lost - 3, lost + 5
    dense = training[training.variant == "dense"].set_index(["run", "seed"]).overfitting_points
    others = [dense[run, seed] for run, seed in zip(training.run, training.seed, strict=True)]
    training["dense_overfitting_points"] = np.where(training.variant == "dense", np.nan, others)
    training["cured_points"] = training.dense_overfitting_points - lost
    return replace(finished, training=training)


def test_the_table_has_every_network_that_was_trained_to_be_robust_once(finished):
    table = overfitting.table(finished)
    assert list(table) == overfitting.COLUMNS
    assert len(table) == len(finished.training) == 2 * (1 + 3 * 2 + 1)
    pipelines = dict(zip(table.method, table.pipeline, strict=True))
    pruned = {"m0": "before", "m1": "during", "m2": "after"}
    assert pipelines == pruned | {"dense": "none", "dense_again": "none"}


def test_networks_of_benign_training_and_those_without_a_number_are_dropped(finished):
    training = finished.training
    training.loc[training.method == "m0", "measure"] = "clean"
    training.loc[(training.method == "m1") & (training.seed == 0), "overfitting_points"] = np.nan
    table = overfitting.table(finished)
    assert "m0" not in set(table.method)
    assert table.seed[table.method == "m1"].tolist() == [1, 1]
    assert len(table) == len(training) - 4 - 2
    benign = replace(finished, training=training.assign(measure="clean"))
    assert overfitting.table(benign).empty


def test_a_study_without_training_has_a_table_without_rows_and_says_why(finished, tmp_path):
    nothing = replace(finished, training=finished.training[:0])
    assert list(overfitting.table(nothing)) == overfitting.COLUMNS
    shown = show("overfitting", nothing, tmp_path)
    assert shown.sentence == EXHIBITS["overfitting"].absent
    assert not list(overfitting.table(replace(finished, training=nothing.training)).index)


def with_interval(values):
    """A mean with Student's interval as a sentence has it."""
    low, high = ttest_1samp(values, 0).confidence_interval(0.95)
    return f"{np.mean(values):.1f} [{low:.1f}, {high:.1f}]"


def clauses(sentence):
    return sentence.removesuffix(".").split("; ")


def test_the_sentence_has_the_mean_of_each_group_and_students_interval(finished):
    seeds = make_finished(**BOTH, seeds=(0, 1, 2)).training
    table = overfitting.table(scattered(replace(finished, training=seeds)))
    groups = dict(list(table.groupby("method")))
    dense, *told, again = clauses(overfitting.sentence(table))
    of_dense = groups["dense"].overfitting_points
    assert len(of_dense) == 3
    start = "Dense networks lose "
    assert dense == f"{start}{with_interval(of_dense)} points of their best robust accuracy"
    assert len(told) == 3
    expected = {
        "m1": "those pruned during training",
        "m0": "those pruned before training",
        "m2": "those fine-tuned after pruning",
    }
    for clause, (method, words) in zip(told, expected.items(), strict=True):
        here = groups[method]
        assert clause == (
            f"{words} lose {with_interval(here.overfitting_points)}, "
            f"{with_interval(here.cured_points)} less than the dense network of the same seed "
            f"(6 networks)"
        )
    lost = with_interval(groups["dense_again"].overfitting_points)
    assert again == f"dense ones fine-tuned again lose {lost}"


def test_two_networks_have_a_mean_and_no_interval_and_one_is_no_plural(finished):
    assert clauses(overfitting.sentence(overfitting.table(finished)))[0] == (
        "Dense networks lose 6.0 points of their best robust accuracy"
    )
    small = make_finished(methods=1, pipelines=("during",), sparsities=(0.9,), seeds=(0,))
    dense, pruned, again = clauses(overfitting.sentence(overfitting.table(small)))
    assert pruned == (
        "those pruned during training lose 2.0, 4.0 less than the dense network of the same seed "
        "(1 network)"
    )
    assert "[" not in dense + pruned + again


def test_dense_networks_are_in_no_group_of_pruned_ones(finished):
    table = overfitting.table(scattered(finished))
    alone = table[table.method.isin(["dense", "dense_again"])]
    assert len(clauses(overfitting.sentence(alone))) == 2
    others = table[~table.method.isin(["dense", "dense_again"])]
    assert clauses(overfitting.sentence(table))[1:-1] == [
        f"{clause[0].lower()}{clause[1:]}" for clause in clauses(overfitting.sentence(others))
    ]


def test_a_group_of_which_no_dense_network_is_known_is_compared_with_none(finished):
    table = overfitting.table(finished)
    table.loc[table.pipeline == "before", "cured_points"] = np.nan
    sentence = overfitting.sentence(table)
    (before,) = [clause for clause in clauses(sentence) if "before" in clause]
    assert "less than" not in before
    (during,) = [clause for clause in clauses(sentence) if "during" in clause]
    assert "less than the dense network" in during


@pytest.mark.parametrize("pipelines", [(), ("before",), ("during", "before"), ("before",) * 2])
def test_the_sentence_repeats_no_word_and_speaks_of_the_studys_pipelines_alone(pipelines):
    table = overfitting.table(make_finished(pipelines=pipelines, samples=20))
    sentence = overfitting.sentence(table)
    assert not re.search(r"\b(\w+) \1\b", sentence)
    assert sentence.endswith(".")
    there = {"before": "before training", "during": "during training", "after": "after pruning"}
    found = {name for name, words in there.items() if words in sentence}
    assert found == set(table.pipeline) - {"none"}


def drawn(finished):
    """By run: the points of its panel with the ends of their bars, and its vertical lines."""
    with theme.theme():
        figure = overfitting.draw(overfitting.table(finished), finished)
        figure.draw_without_rendering()
    found = {}
    for ax in figure.axes[: len(finished.runs)]:
        points = []
        for line, _, (bars,) in ax.containers:
            ends = [segment[:, 0].tolist() for segment in bars.get_segments()]
            points += [(x, *end) for x, end in zip(line.get_xdata(), ends, strict=True)]
        across = [line.get_xdata()[0] for line in ax.lines if list(line.get_ydata()) == [0, 1]]
        found[ax.get_title(loc="left")] = sorted(points), across
    return figure, found


def test_the_points_drawn_are_those_of_the_table_with_their_intervals():
    several = scattered(make_finished(runs=2, **BOTH))
    table = overfitting.table(several)
    figure, found = drawn(several)
    assert list(found) == several.runs
    for run, (points, across) in found.items():
        here = table[table.run == run]
        columns = ["overfitting_points", "overfitting_low", "overfitting_high"]
        expected = sorted(here[columns].to_numpy().tolist())
        assert np.array(points) == pytest.approx(np.array(expected))
        assert across == pytest.approx([0, here.overfitting_points[here.method == "dense"].mean()])
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    pruned = [f"m{n} {sparsity}" for n in range(3) for sparsity in (0.9, 0.99)]
    assert names == ["dense", *pruned, "dense, fine-tuned again"]


def test_one_run_is_one_panel_without_a_title_and_no_mean_without_dense_networks(finished):
    kept = finished.training[finished.training.method != "dense"]
    _, found = drawn(replace(finished, training=kept))
    ((title, (points, across)),) = found.items()
    assert title == ""
    assert len(points) == len(kept)
    assert across == [0]


def test_the_table_of_training_says_when_each_network_was_pruned(finished):
    header, rows = RESULTS["training"].cells(finished)
    place = header.index("pruned")
    found = {row[0]: row[place] for row in rows}
    assert found == {
        "dense": "–",
        "dense, fine-tuned again": "–",
        **{f"m0 {s}": "before" for s in (0.9, 0.99)},
        **{f"m1 {s}": "during" for s in (0.9, 0.99)},
        **{f"m2 {s}": "after" for s in (0.9, 0.99)},
    }
    cells = dict(zip(header, rows[0], strict=True))
    assert (cells["best epoch"], cells["best (%)"], cells["last (%)"]) == ("3", "50.0", "44.0")
    assert cells["robust overfitting (points)"].startswith("6.0 [")
    assert cells["cured (points)"] == "–"


def test_a_collapsed_network_is_drawn_and_not_spoken_of(finished, tmp_path):
    gone = finished.accuracy.method == "m1"
    finished.accuracy.loc[gone, "collapse"] = "at_chance"
    shown = show("overfitting", finished, tmp_path)
    assert "during" not in shown.sentence
    assert "before" in shown.sentence
    assert shown.sentence.endswith("Left out: 4 collapsed networks.")
    assert "m1" in shown.csv.read_text()

"""A collapsed network stands in every table, and no sentence about methods counts it."""

from dataclasses import replace

import numpy as np
import pytest
from make_tables import make_finished

from thin_ice.evaluation.collapse import collapsed
from thin_ice.figures import gallery
from thin_ice.figures.caveats import caveats
from thin_ice.figures.gallery import EXHIBITS, OF_METHODS, show
from thin_ice.figures.standing import ALL_GONE, left_out

OTHERS = {  # their sentences speak of every network
    *("accuracy", "security", "twins"),
    *("preservation", "mismatch", "certified", "smoothed"),
}


@pytest.fixture(autouse=True)
def _undrawn(monkeypatch):
    """Sentences are what is looked at here, and drawing takes the time."""
    for name, exhibit in EXHIBITS.items():
        monkeypatch.setitem(EXHIBITS, name, replace(exhibit, draw=lambda *_: None))
    monkeypatch.setattr(gallery, "save", lambda _figure, stem: [stem, stem])


def marked(finished, **where):
    """The study with some networks collapsed, by their names in the accuracy table."""
    accuracy = finished.accuracy.copy()
    here = np.logical_and.reduce([accuracy[name] == value for name, value in where.items()])
    accuracy["collapse"] = np.where(here, "at_chance", "none")
    assert here.any()
    return replace(finished, accuracy=accuracy)


def spoiled(finished, **where):
    """A study in which some networks' numbers of comparison are beyond belief."""
    changed = {}
    for name in ("accuracy", "thin_ice", "predictors", "classes", "movement", "overestimate"):
        table = getattr(finished, name).copy()
        keys = [key for key in where if key in table]
        here = np.logical_and.reduce([table[key] == where[key] for key in keys])
        for column in set(table) & {"overestimate_points", "auroc_lost", "auroc", "lost_percent"}:
            table.loc[here, column] = 77.0
        for column in set(table) & {"lost_median_distance", "change_median", "eps_points"}:
            table.loc[here, column] = 77.0
        changed[name] = table
    return replace(finished, **changed)


def test_a_sentence_is_that_of_the_study_without_the_collapsed_method(tmp_path):
    """With and without the method, every sentence reads the same but for what it leaves out."""
    with_it, without = make_finished(samples=30), make_finished(methods=1, samples=30)
    found = marked(spoiled(with_it, method="m1"), method="m1")
    tail = left_out(found.accuracy)
    assert tail == "Left out: 4 collapsed networks."
    for name, exhibit in EXHIBITS.items():
        said = show(name, found, tmp_path).sentence
        if name in OTHERS:
            assert tail not in said
            continue
        assert exhibit.section in OF_METHODS
        table = exhibit.table(without)
        expected = exhibit.sentence(table, without)
        assert said == f"{expected} {tail}", name
        assert said != f"{show(name, marked(with_it, method='m0'), tmp_path).sentence} {tail}"


def test_a_study_without_collapse_keeps_its_tables_and_its_sentences(tmp_path):
    finished = make_finished()
    assert finished.standing is finished
    empty = finished.accuracy.assign(collapse="empty_layer", empty_layers=1)
    assert replace(finished, accuracy=empty).standing.accuracy is empty
    for name in ("overestimate", "auroc"):
        assert "Left out" not in show(name, finished, tmp_path).sentence


def test_one_seed_takes_with_it_what_averages_and_pools_seeds_and_no_more():
    finished = marked(make_finished(seeds=(0, 1, 2)), method="m0", sparsity=0.9, seed=1)
    rest = finished.standing
    for name in ("thin_ice", "samples", "predictors", "movement", "classes", "joint", "thickness"):
        before, after = getattr(finished, name), getattr(rest, name)
        here = before.query("method == 'm0' and sparsity == 0.9 and seed == 1")
        assert len(here)
        assert len(after) == len(before) - len(here)
    for name in ("overestimate", "pies"):
        assert rest_of(rest, name).empty
        assert len(getattr(rest, name)) == len(getattr(finished, name)) - 1
    ends = rest.overlap[["method_a", "sparsity_a", "method_b", "sparsity_b", "seed"]]
    assert not any(
        {("m0", 0.9, 1)} & {tuple(row[[0, 1, 4]]), tuple(row[[2, 3, 4]])} for row in ends.to_numpy()
    )
    assert len(ends) < len(finished.overlap)


def rest_of(rest, name):
    return getattr(rest, name).query("method == 'm0' and sparsity == 0.9")


def test_a_collapsed_dense_network_takes_every_comparison_with_it():
    finished = marked(make_finished(runs=2, seeds=(0, 1, 2)), method="dense", seed=1)
    rest = finished.standing
    assert set(rest.thin_ice.query("method != 'second_seed'").seed) == {0, 2}
    assert set(rest.accuracy.query("method == 'm0'").seed) == {0, 1, 2}
    assert len(rest.overestimate) == len(finished.overestimate.query("method != 'dense'"))


def test_where_the_control_s_other_seed_collapsed_the_control_is_left_out():
    """Of seeds 0, 1 and 2 the control of 0 is the dense network of 1, and of 1 its own pair."""
    finished = make_finished(seeds=(0, 1, 2))
    rest = marked(finished, method="dense", seed=1).standing.thin_ice
    assert set(rest.query("method == 'second_seed'").seed) == {2}


def test_where_every_pruned_network_collapsed_nothing_is_said_of_them(tmp_path):
    finished = make_finished(methods=1, sparsities=(0.9,))
    found = marked(finished, method="m0")
    for name in EXHIBITS:
        if name not in OTHERS:
            assert show(name, found, tmp_path).sentence == f"{ALL_GONE} {left_out(found.accuracy)}"
    assert collapsed(found.accuracy).sum() == 2


def test_controls_are_compared_with_the_networks_that_stand():
    finished = make_finished()
    finished.thin_ice.loc[finished.thin_ice.method == "m0", "auroc_lost"] = 1.5
    finished.thin_ice.loc[finished.thin_ice.method == "m1", "auroc_lost"] = 0.6

    def strong(study):
        return [one for one in caveats(study) if one.startswith("Without pruning the effect")]

    assert strong(marked(finished, method="m0"))[0].count("reaches 0.60, the median after") == 1
    assert strong(marked(finished, method="m1")) == []

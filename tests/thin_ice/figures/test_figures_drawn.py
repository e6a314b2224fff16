"""What single figures draw, on inputs that are hard to draw."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from make_tables import make_finished, make_twins

from thin_ice.figures import layout, overestimate, overlap, theme, thickness
from thin_ice.figures.gallery import EXHIBITS
from thin_ice.figures.loss_by_distance import bin_edges, bin_numbers, distinct

SMALL = {"methods": 1, "sparsities": (0.9,), "seeds": (0,), "samples": 40, "again": False}


def drawn(name, finished):
    exhibit = EXHIBITS[name]
    with theme.theme():
        return exhibit.draw(exhibit.table(finished), finished)


def test_a_step_that_reaches_to_infinity_is_drawn_to_the_end_of_the_axis():
    finished = make_finished(**SMALL)
    samples = finished.samples
    kept = samples.boundary_distance[samples.set == "kept"]
    far = (samples.set == "kept") & (samples.boundary_distance > kept.median())
    samples.loc[far, ["signed_distance", "boundary_distance"]] = np.inf
    fits = thickness.table(finished).query("kind == 'fit' and correctness == 'clean'")
    last = fits.iloc[-1]
    assert np.isinf(last.to_distance)
    panel = drawn("thickness", finished).axes[0]
    (line,) = [one for one in panel.lines if len(one.get_xdata()) == 2 * len(fits)]
    assert np.isfinite(line.get_xdata()).all()
    assert line.get_xdata()[-1] >= panel.get_xlim()[1] > last.from_distance
    assert line.get_ydata()[-1] == last.share


def test_the_axis_of_a_fit_ends_where_nearly_all_samples_are_below():
    ends = np.arange(1, 101) / 100
    fits = pd.DataFrame({"from_distance": ends - 0.01, "to_distance": ends, "samples": 1})
    assert thickness._end(fits) == 0.98
    assert thickness._end(fits.assign(to_distance=np.inf, from_distance=np.inf)) == 1.0
    fits.loc[99, ["from_distance", "to_distance", "samples"]] = [2.0, np.inf, 900]
    assert np.isclose(thickness._end(fits), 2.2)


def test_a_run_of_which_nothing_is_claimed_has_no_block_of_mechanisms():
    finished = make_finished(runs=2, methods=1, sparsities=(0.9,), samples=20)
    table = finished.overestimate
    finished = replace(finished, overestimate=table[table.run == finished.runs[1]])
    titles = [ax.get_title(loc="left") for ax in drawn("mechanisms", finished).axes]
    assert titles[0].startswith(finished.runs[1])
    assert len(titles) == 8


def overlap_of(count):
    """A panel of so many networks that all lose the same, and their names."""
    names = [f"method{n} 0.9" for n in range(count)]
    with theme.theme():
        _, axes = layout.panels([overlap._height(count)], 2)
        overlap._panel(axes[0, 0], np.ones((count, count)), names)
    return axes[0, 0], names


def test_names_of_many_networks_are_readable_beside_the_overlap():
    panel, names = overlap_of(34)
    texts = [*panel.get_yticklabels(), *panel.get_xticklabels()]
    assert [text.get_text() for text in texts] == names * 2
    assert min(text.get_fontsize() for text in texts) >= overlap.NAMES[0]
    assert not panel.texts


def test_a_name_stands_at_its_own_column_where_not_all_have_room():
    panel, names = overlap_of(48)
    assert [text.get_text() for text in panel.get_yticklabels()] == names
    shown = zip(panel.get_xticks(), panel.get_xticklabels(), strict=True)
    found = [(int(place), text.get_text()) for place, text in shown]
    assert found == list(enumerate(names))[::2]


def test_cells_grow_downwards_but_stay_readable():
    heights = [overlap._height(count) for count in (1, 5, 11, 34, 100)]
    assert heights == [1.6, 5 * overlap.CELL, 4.6, 4.6, 100 * overlap.NARROW]


@pytest.mark.parametrize(("count", "cells"), [(14, 196), (15, 0)])
def test_numbers_stand_in_the_cells_of_few_networks(count, cells):
    assert len(overlap_of(count)[0].texts) == cells


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([0.1, 0.2, np.inf], ["0.100", "0.200", "∞"]),
        ([0.0011, 0.0014], ["0.0011", "0.0014"]),
        ([0.0004, 0.2], ["0.0004", "0.2000"]),
        ([0.0, 0.2], ["0.000", "0.200"]),
        ([], []),
    ],
)
def test_distances_on_the_axis_are_told_apart_and_from_zero(values, texts):
    assert distinct(values) == texts


def test_bins_of_tied_and_infinite_distances():
    values = np.array([0.1, 0.1, 0.1, 0.2, np.inf, np.inf])
    edges = bin_edges(values, 3)
    assert edges.tolist() == [0.0, 0.1, 0.2, np.inf]
    assert bin_numbers(values, edges).tolist() == [1, 1, 1, 2, 3, 3]


def test_bins_that_ties_would_empty_are_merged():
    assert bin_edges(np.array([0.1] * 5 + [0.2]), 3).tolist() == [0.0, 0.1, 0.2]


def test_many_twins_go_on_in_further_lines():
    finished = make_finished(**SMALL, pictures=(11, 3, 32))
    figure = drawn("twins", finished)
    pictures = [ax for ax in figure.axes if ax.images]
    assert len(pictures) == 3 * 11
    titles = [ax.get_title(loc="left") for ax in figure.axes[:8]]
    assert titles[0] == "dense, seed 0\nc0"
    assert titles[1:] == [f"c{n}" for n in range(1, 8)]
    further = [ax.get_title(loc="left") for ax in figure.axes[24:32]]
    assert further == ["c8", "c9", "c10", "", "", "", "", ""]
    one = make_twins("a", 0, 11, 3, 32)
    ninth = [figure.axes[row * 8].images[0].get_array() for row in (3, 4)]
    assert np.allclose(ninth[0], np.moveaxis(one.images[8] / 255, 0, -1))
    assert np.allclose(ninth[1], np.moveaxis(one.twins[8], 0, -1))


def test_twins_are_drawn_as_they_are_and_their_difference_magnified():
    finished = make_finished(**SMALL)
    one = make_twins("a", 0)
    axes = [ax for ax in drawn("twins", finished).axes if ax.images]
    sample, twin, change = (axes[n * 4 + 2].images[0].get_array() for n in range(3))
    assert np.allclose(sample, one.images[2, 0] / 255)
    assert np.allclose(twin, one.twins[2, 0])
    assert np.isclose(np.abs(change - 0.5).max(), 0.5)
    signs = np.sign(one.twins[2, 0] - one.images[2, 0] / 255)
    assert (np.sign(change - 0.5) == signs).all()
    assert axes[8 + 2].get_title(loc="left") == f"× {0.5 / 0.003:.3g}"


def test_pictures_in_colour_keep_their_channels():
    finished = make_finished(**SMALL, pictures=(2, 3, 32))
    picture = next(ax for ax in drawn("twins", finished).axes if ax.images).images[0].get_array()
    expected = make_twins("a", 0, 2, 3, 32).images[0] / 255
    assert np.allclose(picture, np.moveaxis(expected, 0, -1))


def test_claims_of_networks_with_long_names_stand_in_one_column():
    two = {**SMALL, "runs": 2, "samples": 20}
    short, long = make_finished(**two), make_finished(**two, method="a_rather_long_name{}")
    for finished, columns in ((short, 2), (long, 1)):
        points = overestimate.table(finished)
        axes = overestimate.draw(points, finished).axes
        assert axes[0].get_gridspec().ncols == columns
        assert (
            axes[0].get_ylim()[0]
            == points[points.run == finished.runs[0]]
            .groupby(["method", "sparsity", "protocol"])
            .ngroups
            - 0.4
        )

"""What is drawn is what the table behind the figure says: each mark at its value."""

import numpy as np
import pytest
from make_tables import EPS, make_finished
from matplotlib.colors import same_color, to_hex

from thin_ice.figures import densities, distances, mechanisms, theme
from thin_ice.figures.finished import FEW_SAMPLES
from thin_ice.figures.gallery import EXHIBITS


@pytest.fixture(scope="module")
def finished():
    """Two views (the left panel is clean), one method, two sparsities, both controls."""
    return make_finished(methods=1, samples=60)


def drawn(name, finished):
    """The figure's panels, and the table behind it."""
    exhibit = EXHIBITS[name]
    table = exhibit.table(finished)
    with theme.theme():
        return [ax for ax in exhibit.draw(table, finished).axes if ax.axison], table


def points(panel, marker="o"):
    """Where the marks of a panel's lines stand, a row a mark."""
    lines = [line for line in panel.lines if line.get_marker() == marker]
    return np.array([place for line in lines for place in line.get_xydata()])


def scattered(panel):
    return np.concatenate([np.ma.filled(one.get_offsets(), np.nan) for one in panel.collections])


def assert_same(found, expected):
    found, expected = (np.array(sorted(map(tuple, values))) for values in (found, expected))
    assert np.allclose(found, expected, equal_nan=True)


def test_accuracies_stand_at_their_percent(finished):
    panels, table = drawn("accuracy", finished)
    places = {s: n for n, s in enumerate(sorted(table.sparsity.unique()))}
    expected = np.column_stack([table.sparsity.map(places), table.percent])
    assert_same(scattered(panels[0]), expected[~np.isnan(table.percent)])


def test_overestimates_stand_at_their_points_and_means(finished):
    study = make_finished(methods=1)
    values = study.accuracy.overestimate_points
    study.accuracy["overestimate_points"] = values + 3.0 * study.accuracy.seed
    panels, table = drawn("overestimate", study)
    assert_same(scattered(panels[0])[:, :1], [*[[5.0], [8.0], [6.5]] * 3])
    ruled = [line for line in panels[0].lines if same_color(line.get_color(), "#bbbbbb")]
    assert [line.get_ydata()[0] for line in ruled] == [0.5]
    assert table.method.tolist()[0] == "dense"


def test_mechanisms_are_filled_where_their_interval_leaves_out_zero(finished):
    table = finished.overestimate.copy()
    table[["steps_points", "steps_low", "steps_high"]] = [-3.0, -4.0, -2.0]
    study = make_finished(methods=1)
    study.overestimate[table.columns] = table
    panels, _ = drawn("mechanisms", study)
    faces = {
        name: {to_hex(line.get_markerfacecolor()) for line in ax.lines if line.get_marker() == "o"}
        for name, ax in zip(mechanisms.COLUMNS, panels, strict=True)
    }
    white = {to_hex("white")}
    assert faces["eps"] == white
    assert not faces["steps"] & white
    assert not faces["loss"] & white
    assert faces["mode"] == set()
    assert {text.get_text() for text in panels[6].texts} == {"–"}
    assert points(panels[2])[:, 0].tolist() == [-3.0] * 3
    assert sorted(set(points(panels[0], "|")[:, 0])) == [4.5, 5.5]
    ruled = [line for line in panels[0].lines if same_color(line.get_color(), "#bbbbbb")]
    assert [line.get_ydata()[0] for line in ruled] == [0.5]


def test_histograms_are_the_shares_of_the_table(finished):
    panels, table = drawn("densities", finished)
    here = table[(table.correctness == "clean") & (table.sparsity == 0.9)]
    sizes = here.groupby("set", observed=True).samples.sum()
    steps = [one.get_data() for one in panels[0].patches]
    for name in sizes.index[sizes >= FEW_SAMPLES]:
        one = here[here.set == name]
        assert np.isclose(one.share.sum(), 1)
        assert sum(np.allclose(step.values, 100 * one.share) for step in steps) >= 2
        assert all(np.isclose(one.samples / one.samples.sum(), one.share))
        own = finished.main_samples.query(
            "correctness == 'clean' and method == 'm0' and sparsity == 0.9 and set == @name"
        )
        assert one.samples.sum() == len(own)


def test_a_set_of_exactly_enough_samples_has_a_histogram_and_a_smaller_one_ticks(finished):
    bins = densities.table(finished).query("correctness == 'clean' and sparsity == 0.9")
    one = bins[bins.set == "kept"].assign(samples=0, share=0.0)
    for count, shapes in ((FEW_SAMPLES, 2), (FEW_SAMPLES - 1, 0)):
        one.iloc[0, one.columns.get_loc("samples")] = count
        with theme.theme():
            panel = densities.draw(one, finished).axes[0]
        assert len(panel.patches) == shapes


@pytest.mark.parametrize("middle", [0.0, 0.03, -0.2, 0.5])
def test_bins_cover_the_middle_of_the_values_and_end_at_the_boundary(middle):
    values = np.random.default_rng(0).normal(0.02, 0.05, 1000)
    edges = densities.bin_edges(values, middle)
    low, high = np.quantile(values, densities.ENDS)
    assert edges[0] <= low < edges[1]
    assert edges[-2] < high <= edges[-1] + 1e-12
    widths = (middle - edges) / np.diff(edges)[0]
    assert np.allclose(widths, np.round(widths))


def test_what_is_beyond_the_bins_is_in_the_end_bins(finished):
    table = densities.table(finished)
    samples = finished.main_samples
    for (view, method, sparsity, name), bins in table.groupby(
        ["correctness", "method", "sparsity", "set"], observed=True
    ):
        own = samples[(samples.correctness == view) & (samples.method == method)]
        own = own[(own.sparsity == sparsity) & (own.set == name)].signed_distance
        assert bins.samples.iloc[0] == (own < bins.to_distance.iloc[0]).sum()
        assert bins.samples.iloc[-1] == (own >= bins.from_distance.iloc[-1]).sum()


def test_the_boundary_that_matters_is_zero_or_eps():
    assert (distances.boundary("clean", EPS), distances.boundary("robust", EPS)) == (0.0, EPS)


def test_each_set_has_its_line_beneath_the_name_of_its_pair(finished):
    panels, table = drawn("distances", finished)
    names = {text.get_position()[1]: text.get_text() for text in panels[0].texts}
    pairs = ["m0 0.9", "m0 0.99", "second dense seed", "dense, fine-tuned again"]
    assert names == {5 * n: pair for n, pair in enumerate(pairs)}
    labels = [text.get_text() for text in panels[0].get_yticklabels()]
    ticks = panels[0].get_yticks()
    assert sorted(ticks) == [5 * n + line for n in range(4) for line in (1, 2, 3, 4)]
    first = {label.split(",")[0]: tick for label, tick in zip(labels[:4], ticks[:4], strict=True)}
    assert len(first) == 4
    clean = table[table.correctness == "clean"]
    medians = clean[clean.samples > clean.infinite]["median"]
    drawn_medians = [line.get_xdata()[0] for line in panels[0].lines if line.get_linewidth() == 2]
    assert np.allclose(sorted(drawn_medians), sorted(medians))


def test_the_forest_has_points_intervals_and_the_number_lost(finished):
    study = make_finished(methods=1, samples=60)
    study.thin_ice.loc[study.thin_ice.index[0], "lost_samples"] = FEW_SAMPLES - 1
    study.thin_ice[["auroc_lost", "auroc_lost_low"]] *= 0.8
    panels, table = drawn("auroc", study)
    clean = table[(table.correctness == "clean") & (table.norm == "Linf")]
    texts = [text.get_text() for text in panels[0].texts]
    assert sorted(texts) == sorted([*map(str, clean.lost_samples), "n lost"])
    assert np.allclose(sorted(scattered(panels[0])[:, 0]), sorted(clean.auroc_lost))
    lines = [line for line in panels[0].lines if line.get_linestyle() == "-"]
    ends = [line.get_xdata() for line in lines]
    assert_same(ends, clean[["auroc_lost_low", "auroc_lost_high"]].to_numpy())
    faces = [to_hex(one.get_facecolor()[0]) for one in panels[0].collections]
    assert faces.count(to_hex("white")) == clean.too_few.sum() == 1


def test_bars_of_classes_stand_side_by_side_with_their_intervals(finished):
    panels, table = drawn("classes", finished)
    clean = table[(table.correctness == "clean") & (table.method == "m0")]
    centres = [bar.get_x() + bar.get_width() / 2 for bar in panels[0].patches]
    offsets = clean.sparsity.map({0.9: -0.2, 0.99: 0.2})
    assert_same(
        zip(centres, [bar.get_height() for bar in panels[0].patches], strict=True),
        np.column_stack([clean.label + offsets, clean.lost_percent]),
    )
    bars = [part for one in panels[0].collections for part in one.get_segments()]
    ends = np.array([part[:, 1] for part in bars if len(part)])
    assert_same(ends, clean[["low", "high"]].dropna().to_numpy())
    right = finished.classes.query("correctness == 'clean' and sparsity == 0.9")
    assert clean[clean.sparsity == 0.9].right.sum() == right.right.sum()
    assert len(points(panels[0], "x")) == len(points(panels[0], "+")) == 10


def test_moved_samples_stand_at_both_distances(finished):
    panels, table = drawn("movement", finished)
    here = table[(table.method == "m0") & (table.sparsity == 0.9)]
    both = here[["signed_distance", "other_signed_distance"]].astype(float).to_numpy()
    low, high = panels[0].get_xlim()
    assert_same(scattered(panels[0]), both.clip(low, high))
    sets = finished.main_samples.query("correctness == 'clean' and method == 'm0'")
    sets = sets.set_index(["sparsity", "seed", "sample_id"]).set
    keys = here[["sparsity", "seed", "sample_id"]].itertuples(index=False)
    assert [str(sets[tuple(key)]) for key in keys] == here.set.astype(str).tolist()


def test_a_sample_without_a_distance_on_either_network_is_not_among_the_moved():
    study = make_finished(methods=1, sparsities=(0.9,), seeds=(0,), samples=20, again=False)
    study.samples.loc[0, "signed_distance"] = np.inf
    study.samples.loc[1, "other_signed_distance"] = np.inf
    _, table = drawn("movement", study)
    assert len(table) == 18


def test_the_overlap_is_symmetric_and_chance_stands_beside_it(finished):
    exhibit = EXHIBITS["overlap"]
    table = exhibit.table(finished)
    with theme.theme():
        axes = exhibit.draw(table, finished).axes
    seen, chance = (ax.images[0].get_array() for ax in axes[:2])
    clean = table[table.correctness == "clean"]
    assert np.allclose(seen, seen.T, equal_nan=True)
    assert np.allclose(sorted(seen[np.triu_indices(4, 1)]), sorted(clean.jaccard))
    assert np.allclose(chance[np.triu_indices(4, 1)], 0.2)
    dark = [text for text in axes[0].texts if text.get_text() and float(text.get_text()) < 0.5]
    assert {text.get_color() for text in dark} <= {"white"}


def test_rivals_stand_at_their_auroc_on_the_line_of_their_network(finished):
    panels, table = drawn("rivals", finished)
    here = table[(table.correctness == "clean") & (table.method == "m0")]
    marks = [line for line in panels[0].lines if line.get_marker() in ("o", "s")]
    found = np.array([line.get_xydata()[0] for line in marks])
    assert np.allclose(sorted(found[:, 0]), sorted(here.auroc))
    assert len(set(found[:, 1])) == len(here)
    middles = panels[0].get_yticks()
    assert len(middles) == here.predictor.nunique()
    for n, middle in enumerate(middles):
        own = found[np.abs(found[:, 1] - middle) < 2.4]
        assert np.isclose(own[:, 1].mean(), middle), n
        assert np.allclose(own[:, 0], 0.9 - 0.04 * n)


def test_losses_by_distance_have_their_intervals_and_controls(finished):
    panels, table = drawn("loss_by_distance", finished)
    clean = table[table.correctness == "clean"]
    ends = [part[:, 1] for one in panels[0].collections for part in one.get_segments()]
    expected = np.column_stack(
        [np.minimum(clean.low, clean.share), np.maximum(clean.high, clean.share)]
    )
    assert_same(ends, expected)
    last = clean.drop_duplicates("bin").sort_values("bin").to_distance
    labels = [float(text.get_text()) for text in panels[0].get_xticklabels()]
    assert np.allclose(labels, last, atol=1e-3)


def test_fits_fall_with_distance_and_marks_stand_at_their_share(finished):
    panels, table = drawn("thickness", finished)
    fits = table[(table.kind == "fit") & (table.correctness == "clean")]
    for _, fit in fits.groupby(["method", "sparsity", "seed"]):
        assert (np.diff(fit.share.astype(float)) < 0).all()
        assert np.allclose(fit.share.astype(float), (fit.lost / fit.samples).astype(float))
    marks = table[(table.kind == "thickness") & (table.correctness == "clean")]
    own = marks[marks.sparsity == 0.9][["to_distance", "share"]].astype(float)
    assert_same(points(panels[0]), own.to_numpy())


def test_samples_at_one_distance_are_one_point_of_the_fit_with_their_weight():
    study = make_finished(methods=1, sparsities=(0.9,), seeds=(0,), samples=6, again=False)
    samples = study.samples
    here = (samples.correctness == "clean") & (samples.norm == "Linf")
    samples.loc[here, "boundary_distance"] = [0.1, 0.1, 0.1, 0.2, 0.3, 0.3]
    samples.loc[here, "set"] = ["kept", "kept", "lost", "lost", "kept", "kept"]
    _, table = drawn("thickness", study)
    fit = table[(table.kind == "fit") & (table.correctness == "clean")]
    assert fit.share.astype(float).tolist() == [0.5, 0.0]
    assert fit.samples.tolist() == [4, 2]
    assert fit.lost.tolist() == [2, 0]

"""What every figure owes its reader, drawn from small and large studies."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from make_tables import dense_alone, make_finished
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from thin_ice.figures import layout, theme
from thin_ice.figures.gallery import EXHIBITS, show
from thin_ice.margins.ice import SETS

STUDIES = {
    "several": {"runs": 1, "methods": 3, "seeds": (0, 1), "samples": 60},
    "smallest": {"runs": 1, "methods": 1, "sparsities": (0.9,), "seeds": (0,), "samples": 30},
}
NAMED = {  # what figures that pool runs call them by
    "preservation": lambda run: "",
    "mismatch": lambda run: f"{run.split('-')[1]} on {run.split('-')[0]}",
}
LARGE = {"runs": 2, "methods": 10, "sparsities": (0.5, 0.9, 0.99), "seeds": (0, 1, 2)}


def drawn(name, finished):
    exhibit = EXHIBITS[name]
    with theme.theme():
        return exhibit.draw(exhibit.table(finished), finished)


@pytest.fixture(scope="module", params=STUDIES)
def finished(request):
    return make_finished(**STUDIES[request.param])


@pytest.fixture
def coarse(monkeypatch):
    """Pictures of a few kilobytes, in less time."""
    monkeypatch.setattr(theme, "DPI", 30)


@pytest.fixture(scope="module")
def large():
    return make_finished(**LARGE, samples=30)


@pytest.mark.parametrize("name", EXHIBITS)
def test_a_figure_has_a_title_and_labels_with_units(name, finished):
    figure = drawn(name, finished)
    panels = [ax for ax in figure.axes if ax.axison and ax.get_label() != "<colorbar>"]
    assert figure.legends[0].get_title().get_text()
    assert all(ax.get_xlabel() or ax.get_xticklabels() for ax in panels)
    labels = " ".join(ax.get_xlabel() + ax.get_ylabel() for ax in panels)
    units = {
        "accuracy": "(%)",
        "overestimate": "(percentage points)",
        "overfitting": "(percentage points)",
        "security": "ε (L∞, images on [0, 1])",
        "mechanisms": "percentage points",
        "preservation": "kept (%)",
        "mismatch": "fine-tuned with",
        "certified": "ε (L∞, images on [0, 1])",
        "smoothed": "radius (L2, images on [0, 1])",
        "auroc": "AUROC of distance",
        "loss_by_distance": "(L∞, images on [0, 1])",
        "distances": "(L∞, images on [0, 1])",
        "densities": "share of the set (%)",
        "thickness": "(L∞, images on [0, 1])",
        "rivals": "AUROC",
        "classes": "share lost (%)",
        "overlap": "",
        "movement": "(L∞, [0, 1])",
        "twins": "",
    }
    assert units[name] in labels


def boxes_of(figure, texts):
    renderer = FigureCanvasAgg(figure).get_renderer()
    shown = [text for text in texts if text.get_text() and text.get_visible()]
    return [text.get_window_extent(renderer) for text in shown]


def assert_apart(boxes):
    for first, second in pairwise(boxes):
        assert not first.shrunk(0.9, 0.9).overlaps(second)


@pytest.mark.parametrize("name", EXHIBITS)
def test_labels_lie_inside_the_figure_and_do_not_overlap(name, finished):
    figure = drawn(name, finished)
    figure.draw_without_rendering()
    canvas = figure.bbox
    for ax in (ax for ax in figure.axes if ax.axison):
        titles = [ax.title, ax._left_title, ax.xaxis.label, ax.yaxis.label]
        low, high = ax.get_ylim()
        named = [t for t in ax.get_yticklabels() if min(low, high) <= t._y <= max(low, high)]
        for box in boxes_of(figure, [*titles, *named, *ax.texts]):
            assert canvas.x0 <= box.x0
            assert box.x1 <= canvas.x1
            assert canvas.y0 <= box.y0
            assert box.y1 <= canvas.y1
        assert_apart(boxes_of(figure, named))
        assert_apart(boxes_of(figure, ax.get_xticklabels()))


@pytest.mark.heavy
@pytest.mark.parametrize("name", EXHIBITS)
def test_a_figure_of_many_networks_grows_downwards(name, large):
    small = drawn(name, make_finished(**STUDIES["smallest"]))
    figure = drawn(name, large)
    assert figure.get_figwidth() == small.get_figwidth() == theme.WIDTH
    assert figure.get_figheight() > 2 * small.get_figheight()
    titles = {ax.get_title(loc="left") for ax in figure.axes}
    titles |= {text.get_text() for ax in figure.axes for text in ax.texts}
    for run in large.runs:
        assert any(NAMED.get(name, lambda run: run)(run) in title for title in titles)


def test_files_are_of_the_stated_size_and_without_dates(tmp_path):
    shown = show("distances", make_finished(**STUDIES["smallest"]), tmp_path)
    assert "<dc:date>" not in shown.svg.read_text()
    assert Image.open(shown.png).size[0] == theme.WIDTH * theme.DPI
    assert Image.open(shown.png).info.keys() <= {"dpi"}


@pytest.mark.parametrize("name", EXHIBITS)
def test_empty_sets_failed_distances_and_missing_aurocs_are_drawn(name, tmp_path):
    finished = make_finished(methods=1, seeds=(0, 1), samples=30)
    samples, thin_ice = finished.samples, finished.thin_ice
    samples.loc[samples.set == "rescued", "set"] = "never"
    samples.loc[samples.set == "lost", ["signed_distance", "boundary_distance"]] = np.inf
    thin_ice[["lost_samples", "rescued_samples"]] = 0
    columns = [column for column in thin_ice if "auroc" in column]
    thin_ice[columns] = np.nan
    with np.errstate(all="raise"):
        shown = show(name, finished, tmp_path)
    assert all(path.stat().st_size for path in shown.files)


@pytest.mark.parametrize("name", EXHIBITS)
def test_a_study_of_dense_networks_alone_is_drawn_and_says_so(name, tmp_path, coarse):
    shown = show(name, dense_alone(), tmp_path)
    assert shown.sentence.endswith(".")
    if EXHIBITS[name].section in ("thin_ice", "who", "movement", "preservation", "certified"):
        assert shown.sentence.startswith(("No ", "There are no ", "Every network was fine-tuned"))


@pytest.mark.parametrize("name", EXHIBITS)
def test_one_seed_and_one_class_that_is_lost_whole_are_drawn(name, tmp_path, coarse):
    finished = make_finished(methods=1, sparsities=(0.9,), seeds=(0,), samples=30, again=False)
    samples, classes = finished.samples, finished.classes
    own = (samples.label == 3) & samples.set.isin(["kept", "lost"])
    samples.loc[own, "set"] = "lost"
    classes.loc[classes.label == 3, "lost_percent"] = 100.0
    classes.loc[classes.label == 4, ["right", "lost"]] = 0
    assert show(name, finished, tmp_path).sentence


def test_a_dense_network_that_has_nothing_right_is_drawn(tmp_path):
    finished = make_finished(methods=1, seeds=(0,), samples=30)
    finished.samples["set"] = pd.Categorical(["never"] * len(finished.samples), categories=SETS)
    finished.thin_ice[["lost_samples", "kept_samples"]] = 0
    for name in EXHIBITS:
        drawn(name, finished)


def test_colours_are_fixed_by_meaning_and_distinct():
    colours = theme.method_colours([f"m{index}" for index in range(10)])
    assert len({*colours.values()}) == 11  # controls are dark like the dense network
    assert theme.method_colours(["m0", "m1"])["m1"] == colours["m1"]
    assert set(theme.SET_COLOURS) == set(SETS)
    assert len(set(theme.SET_COLOURS.values())) == len(SETS)
    assert len(theme.method_colours([f"m{index}" for index in range(14)])) == 17


def test_a_row_of_panels_belongs_to_one_group():
    assert layout.wrapped([[1, 2, 3], [4]], 2) == [[1, 2], [3], [4]]


def test_many_panels_stand_in_rows_from_the_top_and_apart():
    figure, axes = layout.many_panels(3, 2, 2.5)
    boxes = [[ax.get_position() for ax in row] for row in axes]
    assert boxes[0][0].y0 > boxes[1][0].y1 > boxes[1][0].y0 > boxes[2][0].y1
    assert all(left.x1 < right.x0 for left, right in boxes)
    assert boxes[2][0].y0 > 0
    assert boxes[0][1].x1 < 1
    assert boxes[0][0].y1 < 1 - layout.HEADER / figure.get_figheight()

"""No text of a figure lies on another, on a neighbouring panel, or beyond the canvas."""

import numpy as np
import pytest
from make_tables import make_finished
from matplotlib.text import Text

from thin_ice.figures.gallery import EXHIBITS
from thin_ice.figures.theme import theme

STUDIES = {
    "small": {"methods": 1, "samples": 40},
    "large": {
        "runs": 2,
        "methods": 2,
        "sparsities": (0.5, 0.9, 0.95, 0.99),
        "seeds": (0, 1),
        "samples": 25,
        "name": "cifar1{}-wide_resnet-trades",
        "method": "flyingbird_plus{}",
        "pictures": (10, 3, 32),
    },
}
PADDING = 0.12  # of a text's height: its box has room for accents and tails that it may not have


@pytest.fixture(scope="module", params=STUDIES)
def finished(request):
    return make_finished(**STUDIES[request.param])


class Written:
    """Every text that is really drawn, with its box in pixels and its panel."""

    def __init__(self, figure):
        self.texts, self.boxes, self.panels = [], [], []
        draw = Text.draw

        def recording(text, renderer, *args, **options):
            draw(text, renderer, *args, **options)
            if text.get_visible() and text.get_text().strip():
                self.note(text, renderer)

        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Text, "draw", recording)
            figure.draw_without_rendering()
        self.boxes = np.array(self.boxes)

    def note(self, text, renderer):
        """A box a line: the lines of a title are of unlike length."""
        lines = text.get_text().split("\n")
        if text.get_rotation() or text.get_ha() != "left":
            lines = [text.get_text()]
        x0, y0, x1, y1 = text.get_window_extent(renderer).extents
        height = (y1 - y0) / len(lines)
        for n, line in enumerate(lines):
            font = text.get_fontproperties()
            width = renderer.get_text_width_height_descent(line, font, ismath=False)[0]
            right = min(x1, x0 + width) if len(lines) > 1 else x1
            self.texts.append(line)
            self.boxes.append((x0, y1 - (n + 1) * height, right, y1 - n * height))
            self.panels.append(text.axes)

    def shrunk(self):
        """Boxes less their padding: along the lines of the text nothing is taken off."""
        width, height = (self.boxes[:, 2:] - self.boxes[:, :2]).T
        off = PADDING * np.minimum(width, height)[:, None]
        return self.boxes + off * [1, 1, -1, -1]


def overlapping(a, b):
    """Which boxes (N, 4) of ``a`` overlap which of ``b``: bool (N, M)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    return (high > low).all(axis=2)


def drawn(name, finished):
    exhibit = EXHIBITS[name]
    with theme():
        figure = exhibit.draw(exhibit.table(finished), finished)
        return figure, Written(figure)


@pytest.mark.parametrize("name", EXHIBITS)
def test_every_text_stands_clear(name, finished):
    figure, written = drawn(name, finished)
    boxes = written.shrunk()
    apart = ~np.triu(overlapping(boxes, boxes), 1)
    clash = [(written.texts[a], written.texts[b]) for a, b in np.argwhere(~apart)]
    assert not clash, f"{len(clash)} overlap, such as {clash[:5]}"
    beyond = (boxes[:, :2] < 0).any(axis=1) | (boxes[:, 2:] > figure.bbox.extents[2:]).any(axis=1)
    assert not beyond.any(), [written.texts[n] for n in np.flatnonzero(beyond)]
    assert not among_panels(figure, written, boxes)


def among_panels(figure, written, boxes):
    """Texts that lie on a panel that is not their own."""
    panels = [ax for ax in figure.axes if ax.axison]
    places = np.array([ax.get_window_extent().extents for ax in panels]).reshape(-1, 4)
    others = [[one is not ax for ax in panels] for one in written.panels]
    others = np.array(others, dtype=bool).reshape(len(written.texts), len(panels))
    astray = (overlapping(boxes, places) & others).any(axis=1)
    return [written.texts[n] for n in np.flatnonzero(astray)]


def test_a_text_on_another_or_beyond_the_canvas_would_be_found():
    figure, before = drawn("classes", make_finished(**STUDIES["small"]))
    ax = figure.axes[0]
    ax.text(0.5, 0.5, "first", transform=ax.transAxes)
    ax.text(0.51, 0.5, "second", transform=ax.transAxes)
    ax.text(1.0, 20, "a text that is far too long for the room that is here" * 9)
    after = Written(figure)
    boxes = after.shrunk()
    assert np.triu(overlapping(boxes, boxes), 1).sum() > 0
    assert (boxes[:, 2] > figure.bbox.x1).sum() == 1
    assert len(after.texts) == len(before.texts) + 3
    assert len(among_panels(figure, after, boxes)) == 1

"""Colours that stand side by side stay apart, also to the colour-blind.

Colour vision without one kind of cone is simulated as by Machado, Oliveira and Fernandes 2009
(their matrices at severity 1, on linear RGB); colours are apart by their distance in CIELAB.
"""

from itertools import combinations

import numpy as np
import pytest

from thin_ice.figures import theme

VISION = {
    "usual": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
XYZ = np.array(
    [[0.412456, 0.357576, 0.180438], [0.212673, 0.715152, 0.072175], [0.019334, 0.119192, 0.950304]]
)
APART = 13  # a difference of 2 is just seen side by side
PALETTES = {
    "sets": [*theme.SET_COLOURS.values()],
    "measures": [*theme.MEASURE_COLOURS.values()],
    "methods": [*theme.METHOD_COLOURS, theme.REFERENCE],
    "sparsities": [*theme.sparsity_colours((0.5, 0.9, 0.95, 0.99)).values(), theme.REFERENCE],
}


def lab(colour, vision):
    """CIELAB under the white of sRGB, as seen."""
    rgb = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = XYZ @ np.clip(vision @ linear, 0, 1) / XYZ.sum(axis=1)
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def difference(one, other, vision):
    return np.linalg.norm(lab(one, vision) - lab(other, vision))


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("name", PALETTES)
def test_colours_stay_apart(name, vision):
    pairs = combinations(PALETTES[name], 2)
    assert not [pair for pair in pairs if difference(*pair, VISION[vision]) < APART]


def test_red_and_green_of_one_lightness_are_confused_by_whom_they_are():
    pair = "#B86E00", "#7F8200"
    assert difference(*pair, VISION["usual"]) > 25
    assert difference(*pair, VISION["deuteranopia"]) < APART
    assert difference(*pair, VISION["tritanopia"]) > APART

"""Signs that a network has collapsed: it guesses, answers always the same, or lost a whole layer.

A network at chance or with one constant prediction has no robustness to speak of: what it gets
right, it gets right by the class, whatever the attack. One with an empty layer may still do well,
where a residual shortcut leads past that layer. Needs no torch.
"""

import pandas as pd

from thin_ice.evaluation.proportions import wilson

AT_CHANCE = "at_chance"
CONSTANT = "constant_prediction"
EMPTY_LAYER = "empty_layer"
COLLAPSED = (AT_CHANCE, CONSTANT)  # any of these: its numbers say nothing about a method
NONE = "none"
CONSTANT_ABOVE = 0.99  # share of the samples that one class is predicted for


def collapse(samples: pd.DataFrame, sparsity: dict) -> dict:
    """What a network's outcomes and layers show of a collapse.

    Args:
        samples: a row a test sample with label, prediction and correct.
        sparsity: the network's, as `thin_ice.sparsity.accounting` counts it.

    ``signs``: at chance, where the interval of clean accuracy reaches the share of the largest
    class, which guessing has without looking (1/classes where all are equally many);
    constant prediction, where one class is predicted for more than 99 % of the samples; empty
    layer, where a prunable layer keeps no weight.
    """
    guessing = samples.label.value_counts(normalize=True).max()
    most = samples.prediction.value_counts(normalize=True).max()
    _, low, _ = wilson(samples.correct.sum(), len(samples))
    empty = [name for name, layer in sparsity["layers"].items() if not layer["kept"]]
    signs = {AT_CHANCE: low <= guessing, CONSTANT: most > CONSTANT_ABOVE, EMPTY_LAYER: bool(empty)}
    return {
        "signs": [name for name, there in signs.items() if there],
        "guessing_percent": 100 * float(guessing),
        "most_predicted_percent": 100 * float(most),
        "empty_layers": empty,
    }


def columns(found: dict) -> dict:
    """The same as columns of the accuracy table; ``collapse`` has the signs, or ``none``."""
    return {
        "collapse": ";".join(found["signs"]) or NONE,
        "guessing_percent": found["guessing_percent"],
        "most_predicted_percent": found["most_predicted_percent"],
        "empty_layers": len(found["empty_layers"]),
    }


def has(signs: pd.Series, sign: str) -> pd.Series:
    """Which cells of the column ``collapse`` have a sign."""
    return signs.map(lambda cell: sign in cell.split(";")).astype(bool)


def collapsed(accuracy: pd.DataFrame) -> pd.Series:
    """Which rows of the accuracy table are of networks whose numbers say nothing."""
    return has(accuracy.collapse, AT_CHANCE) | has(accuracy.collapse, CONSTANT)

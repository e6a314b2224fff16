"""Collapsed networks are told from poor ones, by samples whose counts are made by hand."""

import pandas as pd
import pytest

from thin_ice.evaluation.collapse import collapse, collapsed, columns

FULL = {"layers": {"a": {"size": 4, "kept": 2}, "b": {"size": 4, "kept": 1}}}


def outcomes(labels, predictions):
    table = pd.DataFrame({"label": labels, "prediction": predictions})
    return table.assign(correct=table.label == table.prediction)


def even(right, classes=10, each=20):
    """As many samples of every class; ``right`` of them right, the wrong ones spread evenly."""
    labels = [label for label in range(classes) for _ in range(each)]
    wrong = [(label + 1) % classes for label in labels]
    return outcomes(labels, labels[:right] + wrong[right:])


@pytest.mark.parametrize(
    ("right", "chance"),
    # of 200 samples: the lower end of Wilson's interval is 9.87 % for 28 right, 10.3 % for 29
    [(0, True), (20, True), (28, True), (29, False), (150, False)],
)
def test_at_chance_means_that_the_interval_reaches_guessing(right, chance):
    assert collapse(even(right), FULL)["signs"] == ["at_chance"] * chance


def test_guessing_the_largest_class_is_chance_too():
    """A share of 30 % is well above one in ten, and what the largest class gives for nothing."""
    labels = [0] * 60 + [1 + n % 9 for n in range(140)]
    found = collapse(outcomes(labels, [0] * 60 + [0, 1] * 70), FULL)
    assert found["guessing_percent"] == 30
    assert found["signs"] == ["at_chance"]
    assert collapse(outcomes(labels, labels), FULL)["signs"] == []


@pytest.mark.parametrize(("others", "constant"), [(0, True), (1, True), (2, False), (3, False)])
def test_more_than_99_percent_of_one_prediction_is_constant(others, constant):
    """Whatever the labels: here nearly all are of the class that is predicted."""
    predictions = [1] * others + [0] * (200 - others)
    found = collapse(outcomes([1] * 3 + [0] * 197, predictions), FULL)
    assert ("constant_prediction" in found["signs"]) == constant
    assert found["most_predicted_percent"] == (200 - others) / 2


def test_a_layer_without_weights_is_named_and_collapses_nothing_by_itself():
    layers = FULL["layers"] | {"c": {"size": 9, "kept": 0}}
    found = collapse(even(150), {"layers": layers})
    assert found["empty_layers"] == ["c"]
    assert columns(found) == {
        **{"collapse": "empty_layer", "guessing_percent": 10.0, "empty_layers": 1},
        "most_predicted_percent": found["most_predicted_percent"],
    }
    assert columns(collapse(even(150), FULL))["collapse"] == "none"
    cells = ["none", "empty_layer", "at_chance;empty_layer", "constant_prediction"]
    assert collapsed(pd.DataFrame({"collapse": cells})).tolist() == [False, False, True, True]

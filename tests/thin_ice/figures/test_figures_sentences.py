"""Each sentence says what its table says: an effect, its absence, or too few samples to tell."""

import pandas as pd
import pytest
from make_tables import make_finished

from thin_ice.attacks.switches import MECHANISMS
from thin_ice.figures import mechanisms, sentences
from thin_ice.figures.gallery import EXHIBITS


def rows(*lows, method="lwm", lost=50, kept=50, view="clean"):
    """AUROC rows with these lower ends of their intervals, each 0.2 wide."""
    return pd.DataFrame(
        {
            "method": method,
            "correctness": view,
            "lost_samples": lost,
            "kept_samples": kept,
            "auroc_lost": [low + 0.1 for low in lows],
            "auroc_lost_low": lows,
            "auroc_lost_high": [low + 0.2 for low in lows],
        }
    )


def joined(*tables):
    return sentences.auroc_sentence(pd.concat(tables))


def test_auroc_counts_intervals_above_below_and_across_chance():
    sentence = joined(rows(0.7, 0.8, 0.45, 0.2))
    assert "in 2 of 4 pairs the interval of the AUROC for lost samples lies above 0.5" in sentence
    assert "in 1 below it" in sentence
    assert "above 0.5" in joined(rows(0.45))
    assert joined(rows(0.45)).startswith("Clean: in 0 of 1 pair ")


def test_auroc_without_controls_says_that_chance_is_unknown():
    assert sentences.NO_CONTROL in joined(rows(0.7))
    assert sentences.NO_CONTROL not in joined(rows(0.7), rows(0.7, method="second_seed"))


@pytest.mark.parametrize(
    ("lows", "meaning"),
    [
        ((0.75, 0.79), "in the 2 controls AUROC is 0.85 to 0.89, so closeness predicts churn"),
        ((0.40, 0.45), "no interval lies above 0.5, so closeness is not seen to predict churn"),
        ((0.40, 0.75), "with 1 of 2 intervals above 0.5"),
    ],
)
def test_auroc_says_what_the_controls_show(lows, meaning):
    assert meaning in joined(rows(0.7), rows(*lows, method="second_seed"))


def test_auroc_of_few_samples_is_not_counted_either_way():
    few = rows(0.9, lost=4)
    assert joined(few).startswith("Clean: too few samples to say (1 comparison)")
    assert "in 1 of 1 pair" in joined(few, rows(0.9))
    assert "(1 more with fewer than 5 lost or kept samples left out)" in joined(few, rows(0.9))
    assert "too few samples to say" in joined(rows(0.9, kept=0))
    control = rows(0.9, method="second_seed", lost=2)
    assert "in the 1 control too few samples are lost" in joined(rows(0.9), control)


def test_auroc_speaks_of_each_kind_of_correctness():
    sentence = joined(rows(0.7), rows(0.3, view="robust"))
    assert "Clean: in 1 of 1" in sentence
    assert "robust: in 0 of 1" in sentence


def test_no_comparison_at_all_is_said():
    assert joined(rows()).startswith("No networks were compared")
    only_control = joined(rows(0.8, method="second_seed"))
    assert only_control.startswith("Clean: no pruned network was compared; in the 1 control")


def claims(*points):
    return pd.DataFrame({"method": "lwm", "overestimate_points": points})


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ((2.0, 4.0), "exceeds AutoAttack's in 2 of 2 pruned networks; "),
        ((0.0, 0.0), "exceeds AutoAttack's in 0 of 2 pruned networks; "),
        ((3.0, -1.0), "in 1 of 2 pruned networks and falls short of it in 1; "),
    ],
)
def test_overestimate_counts_both_directions(points, said):
    assert said in sentences.overestimate_sentence(claims(*points))


def test_overestimate_gives_range_and_median_without_the_dense_networks():
    dense = claims(99.0).assign(method="dense")
    sentence = sentences.overestimate_sentence(pd.concat([dense, claims(2.0, 4.0, 9.0)]))
    assert sentence.endswith("claimed minus AutoAttack is 2.0 to 9.0 points, median 4.0.")
    assert sentences.overestimate_sentence(dense) == "No pruned network was evaluated."


def medians(lost, kept, samples=10):
    return rows(0.6, lost=samples).assign(lost_median_distance=lost, kept_median_distance=kept)


def test_distances_count_the_pairs_whose_lost_samples_are_nearer():
    table = pd.concat([medians(0.1, 0.2), medians(0.3, 0.2), medians(0.1, 0.2, samples=2)])
    sentence = sentences.distances_sentence(table)
    assert "in 1 of 2 comparisons (1 more with fewer than 5" in sentence
    assert "too few samples" in sentences.distances_sentence(medians(0.1, 0.2, samples=2))


def shares(first, last, method="lwm"):
    """Two bins with these intervals."""
    bins = {"run": "r", "correctness": "clean", "method": method, "sparsity": 0.9, "bin": [1, 2]}
    return pd.DataFrame({**bins, "low": [first[0], last[0]], "high": [first[1], last[1]]})


def test_loss_asks_whether_the_nearest_lose_more_than_the_farthest():
    steep, flat = ((0.5, 0.7), (0.0, 0.1)), ((0.3, 0.5), (0.2, 0.4))
    sentence = sentences.loss_sentence(pd.concat([shares(*steep), shares(*flat, "second_seed")]))
    assert "in 1 of 1 comparison and in 0 of 1 control" in sentence
    assert "in 0 of 1 comparison" in sentences.loss_sentence(shares(*flat))
    assert sentences.NO_CONTROL in sentences.loss_sentence(shares(*flat))


def test_loss_of_one_bin_or_of_nothing_is_said_to_be_too_little():
    one = shares((0, 1), (0, 1)).head(1)
    assert "too few samples for more than one bin" in sentences.loss_sentence(one)
    assert "no sample right" in sentences.loss_sentence(one.head(0))


def test_accuracy_gives_the_ranges_of_pruned_and_dense():
    finished = make_finished()
    sentence = EXHIBITS["accuracy"].sentence(EXHIBITS["accuracy"].table(finished), finished)
    assert "Over 8 pruned networks, clean accuracy is 70.2 to 73.0 %" in sentence
    assert "unpruned it is 90.0 to 91.0 % and 50.0 to 51.0 %" in sentence


@pytest.mark.parametrize("name", EXHIBITS)
def test_every_figure_has_one_sentence(name):
    finished = make_finished()
    sentence = EXHIBITS[name].sentence(EXHIBITS[name].table(finished), finished)
    assert sentence[0].isupper()
    assert sentence.endswith(".")
    assert ". " not in sentence


def hidden(**points):
    """One pruned row's overestimate table: points and interval by mechanism, the rest empty."""
    row = {"method": "lwm", "overestimate_points": 4.0, "overestimate_low": 1.0}
    for name in MECHANISMS:
        value, low = points.get(name, (float("nan"),) * 2)
        row |= {f"{name}_points": value, f"{name}_low": low}
    return pd.DataFrame([row])


def test_mechanisms_are_counted_where_they_were_switched_and_the_largest_is_named():
    rows = pd.concat([hidden(loss=(3.0, 1.0), eps=(0.2, -0.1)), hidden(loss=(1.0, -0.5))])
    sentence = sentences.mechanisms_sentence(rows)
    assert "lies above 0 in 2 of 2" in sentence
    assert "a smaller ε in 0 of 1 and the cross-entropy in 1 of 2" in sentence
    assert "the cross-entropy hides most, 2.0 points on average" in sentence
    assert "training mode" not in sentence
    assert "no mechanism was switched" in sentences.mechanisms_sentence(hidden())
    dense = hidden(loss=(3.0, 1.0)).assign(method="dense")
    assert sentences.mechanisms_sentence(dense) == "No pruned network was evaluated."


def test_every_mechanism_has_a_name_in_figure_and_sentence():
    assert set(sentences.MECHANISM_NAMES) == set(MECHANISMS)
    assert set(mechanisms.NAMES) == {"overestimate", *MECHANISMS}

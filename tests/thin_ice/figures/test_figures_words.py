"""Labels and small sentences parts."""

import math

import pytest

from thin_ice.figures import words


@pytest.mark.parametrize(
    ("pair", "name"),
    [
        (("hydra", 0.9), "hydra 0.9"),
        (("dense", 0.0), "dense"),
        (("second_seed", 0.0), "second dense seed"),
    ],
)
def test_a_network_is_called_by_method_and_sparsity(pair, name):
    assert words.pair_name(*pair) == name


def test_a_distance_attack_is_called_by_its_options():
    options = {"steps": 200, "start": "noise", "max_stepsize": 10.0}
    assert words.attack_name("fmn", options) == "FMN (max_stepsize 10, start noise, steps 200)"


def test_eps_is_given_as_a_number_and_in_grey_levels():
    assert words.eps_name(8 / 255) == "0.03137 (8/255)"
    assert words.eps_name(0.2) == "0.2 (51/255)"


def test_the_run_is_named_only_where_there_are_several():
    assert words.titled("a-b-c", "x", ["a-b-c"]) == "x"
    assert words.titled("a-b-c", "x", ["a-b-c", "d-e-f"]) == "a-b-c\nx"


def test_missing_and_infinite_numbers_have_their_own_signs():
    assert [words.number(v) for v in (math.nan, math.inf, -math.inf, 1.25)] == [
        *("–", "∞", "−∞", "1.2")
    ]
    assert words.interval(math.nan, math.nan, math.nan) == "–"
    assert words.interval(0.9, 0.8, 1.0) == "0.90 [0.80, 1.00]"
    assert words.interval(0.9, 0.8, math.inf) == "0.90 [0.80, ∞]"
    assert words.interval(math.inf, math.nan, math.inf) == "∞ [–, ∞]"
    assert words.interval(0.9, math.nan, math.nan) == "0.90"
    assert words.interval(0.9, -math.inf, math.inf) == "0.90 [−∞, ∞]"


def test_one_seed_has_no_spread():
    assert words.spread(50.0, math.nan) == "50.0"
    assert words.spread(50.0, 1.26) == "50.0 ± 1.3"


def test_lists_ranges_and_counts_read_as_english():
    assert words.listing([0.9]) == "0.9"
    assert words.listing([0.9, 0.99]) == "0.9 and 0.99"
    assert words.listing(["a", "b", "c"]) == "a, b and c"
    assert words.span([3.0, 1.0]) == "1.0 to 3.0"
    assert words.span([1.01, 1.02]) == "1.0"
    assert (words.counted(1, "pair"), words.counted(2, "pair")) == ("1 pair", "2 pairs")

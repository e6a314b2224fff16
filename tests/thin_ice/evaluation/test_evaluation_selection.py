"""Selection on test: which epoch either split would choose, and what each sample did there."""

import numpy as np
import pytest
import torch

from thin_ice.data.split import Split
from thin_ice.evaluation.selection import best_epoch, chosen_epoch, epochs_table, samples_table

SCORES = {0: [0.5, 0.9], 2: [0.6, 0.7], 4: [0.6, 0.8], 5: [0.6, 0.8], 7: [0.4, 1.0]}
OUTCOMES = {  # right in 2, 3, 1, 2 and 3 of 4 samples
    0: np.array([True, True, False, False]),
    2: np.array([True, False, True, True]),
    4: np.array([False, False, False, True]),
    5: np.array([True, False, True, False]),
    7: np.array([True, True, True, False]),
}


def test_the_plan_decides_which_epoch_is_chosen_on_validation():
    assert chosen_epoch(SCORES, "best") == 5  # robust first, then clean, then the later
    assert chosen_epoch(SCORES, "last") == 7


def test_of_equally_good_epochs_on_test_the_first_is_taken():
    assert best_epoch(OUTCOMES) == 2


def test_a_row_an_epoch_says_what_each_split_saw_and_would_choose():
    table = epochs_table(SCORES, OUTCOMES, chosen=5)
    assert table.epoch.tolist() == [1, 3, 5, 6, 8]
    assert table.validation_score.tolist() == [0.5, 0.6, 0.6, 0.6, 0.4]
    assert table.test_claimed_percent.tolist() == [50, 75, 25, 50, 75]
    assert table.epoch[table.chosen_on_validation].tolist() == [6]
    assert table.epoch[table.best_on_test].tolist() == [3]


def test_each_sample_keeps_its_outcome_at_both_checkpoints():
    ids = torch.tensor([3, 9, 27, 81])
    test = Split(torch.zeros(4, 1, 1, 1, dtype=torch.uint8), torch.zeros(4).long(), ids)
    table = samples_table(test, OUTCOMES, chosen=5)
    assert table.sample_id.tolist() == [3, 9, 27, 81]
    assert table.chosen_on_validation.tolist() == OUTCOMES[5].tolist()
    assert table.best_on_test.tolist() == OUTCOMES[2].tolist()


@pytest.mark.parametrize("chosen", OUTCOMES)
def test_the_best_on_test_is_never_below_the_chosen(chosen):
    assert OUTCOMES[best_epoch(OUTCOMES)].sum() >= OUTCOMES[chosen].sum()

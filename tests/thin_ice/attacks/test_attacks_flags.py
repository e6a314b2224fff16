"""AutoAttack's own warnings get a kind, and its check of Square is the package's."""

import logging

import pytest
from pyautoattack import checks

from thin_ice.attacks.flags import KINDS, MEANING, OTHER, flag, square_flag


def said(check, *arguments):
    """What a check of the package logs."""
    messages, logger = [], logging.getLogger("test-flags")
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    logger.addHandler(handler)
    try:
        check(*arguments, logger=logger)
    finally:
        logger.removeHandler(handler)
    return messages


@pytest.mark.parametrize(
    "after",
    [
        {"clean": 0.9, "apgd-ce": 0.5, "square": 0.49},
        {"clean": 0.9, "apgd-ce": 0.5, "square": 0.4985},
        {"clean": 0.9, "apgd-ce": 0.5, "square": 0.498 - 1e-9},
        {"clean": 0.9, "square": 0.1},
        {"clean": 0.9, "apgd-ce": 0.5},
        {"clean": 0.9, "apgd-ce": 0.8, "square": 0.4, "apgd-t": 0.3},
        {"clean": 0.9, "apgd-ce": 0.8, "square": 0.4, "apgd-t": 0.4},
        {"clean": 0.9, "apgd-ce": 0.8, "square": 0.0},
    ],
)
def test_square_is_judged_as_the_package_judges_it(after):
    theirs, ours = said(checks.check_square_sr, after), square_flag(after)
    assert [one["kind"] for one in ours] == [flag(message)["kind"] for message in theirs]
    assert all(one["kind"] == "square" for one in ours)


def test_a_drop_of_exactly_the_threshold_is_judged_as_the_package_judges_it():
    """0.2 points are a whole number of samples: in float64 some are more and some are less."""
    total, flagged = 1000, []
    for left in range(2, total):
        after = {"clean": 1.0, "apgd-ce": left / total, "square": (left - 2) / total}
        flagged.append(bool(square_flag(after)))
        assert flagged[-1] == bool(said(checks.check_square_sr, after))
    assert 0 < sum(flagged) < len(flagged)


def test_what_runs_after_nobody_is_left_does_not_count():
    """The package stops there, so it has no share for the later attacks."""
    (one,) = square_flag({"clean": 0.9, "apgd-ce": 0.5, "square": 0.0, "apgd-t": 0.0})
    assert "50.00 points" in one["message"]


def test_the_package_s_messages_have_a_kind():
    assert flag(said(checks.check_n_classes, 4, ["fab-t"], 9, 9)[0])["kind"] == "classes"
    assert flag("something new")["kind"] == OTHER
    assert set(MEANING) == {*KINDS, OTHER}

"""Progress says how far a stage is and how long the rest will take."""

import pytest

from thin_ice.progress import Progress, clock


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.6, "1:00"), (125, "2:05"), (3599, "59:59"), (3723, "1:02:03")],
)
def test_clock_shows_hours_only_where_there_are_some(seconds, text):
    assert clock(seconds) == text


def after(seconds, progress):
    """The same progress as if it had begun so much earlier."""
    progress.began -= seconds
    return progress


def test_the_time_left_is_the_pace_of_this_run_times_what_is_missing(messages):
    progress = after(20, Progress("epoch", 10))
    progress.advance({"loss": "0.5"})  # 20 s a unit, 9 to go
    after(20, progress).advance({"loss": "0.4"})  # still 20 s a unit, 8 to go
    assert messages() == ["epoch 1/10  loss 0.5  left 3:00", "epoch 2/10  loss 0.4  left 2:40"]


def test_after_a_resume_only_the_units_of_this_run_count_for_the_pace(messages):
    after(60, Progress("epoch", 10, done=6)).advance({})
    going_on, line = messages()
    assert going_on == "going on after epoch 6 of 10"
    assert line.endswith("left 3:00")


def test_facts_are_shown_in_their_order(messages):
    Progress("attack", 2).advance({"after": "apgd-t", "robust": "3/9"})
    assert messages()[0].startswith("attack 1/2  after apgd-t  robust 3/9  left ")

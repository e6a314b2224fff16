"""A job that is asked to end does so in order, once."""

import signal

import pytest

from thin_ice.interruption import Interrupted, asked, deferred

pytestmark = pytest.mark.usefixtures("listening")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_signal_ends_the_job_at_once_and_says_which_it_was(number):
    assert asked() is None
    with pytest.raises(Interrupted, match=number.name) as raised:
        signal.raise_signal(number)
    assert raised.value.status == 128 + number


def test_no_stage_takes_it_for_a_failure_of_its_own():
    def stage():
        try:
            signal.raise_signal(signal.SIGTERM)
        except Exception:
            pytest.fail("caught as a failure")

    with pytest.raises(Interrupted):
        stage()


def test_a_second_signal_finds_the_job_on_its_way_out():
    with pytest.raises(Interrupted):
        signal.raise_signal(signal.SIGUSR1)
    signal.raise_signal(signal.SIGTERM)
    assert "SIGUSR1" in str(asked())


def test_work_that_saves_itself_is_only_told_and_ends_afterwards():
    done = []

    def work():
        with deferred():
            signal.raise_signal(signal.SIGTERM)
            done.append(asked().status)

    with pytest.raises(Interrupted, match="SIGTERM"):
        work()
    assert done == [128 + signal.SIGTERM]


def test_after_deferred_work_a_signal_ends_the_job_at_once():
    with deferred():
        pass
    with pytest.raises(Interrupted):
        signal.raise_signal(signal.SIGTERM)


def test_a_failure_of_deferred_work_is_what_is_told():
    def work():
        with deferred():
            signal.raise_signal(signal.SIGTERM)
            raise KeyError

    with pytest.raises(KeyError):
        work()

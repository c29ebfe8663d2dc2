import os
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.runs.attempts import announced, retry_at, taken_over
from reconciler.runs.protocol import RunStatus

CRASHED = datetime(2026, 5, 1, 12, tzinfo=UTC)


def test_the_first_attempt_is_number_one() -> None:
    status = announced(None, 0)
    assert (status.attempt, status.failures, status.fruitless) == (1, 0, 0)
    assert status.pid is None


def test_an_attempt_that_got_further_was_not_fruitless() -> None:
    first = announced(None, 0)
    stuck = announced(announced(first, 0), 0)
    assert stuck.fruitless == 2
    assert announced(stuck, 7).fruitless == 0


def test_steps_of_earlier_attempts_do_not_count_again() -> None:
    second = announced(announced(None, 0), 7)
    assert announced(second, 7).fruitless == 1


def test_crashes_are_kept_apart_from_attempts() -> None:
    crashed = RunStatus(phase="Failed", attempt=3, failures=2, pid=1)
    status = announced(crashed, 0)
    assert (status.attempt, status.failures) == (4, 2)


def test_the_supervisor_carries_out_what_was_announced() -> None:
    begun = announced(RunStatus(phase="Failed", attempt=3, pid=1), 5)
    status = taken_over(begun, 5, os.getpid())
    assert (status.attempt, status.pid) == (4, os.getpid())


def test_a_supervisor_that_nobody_announced_counts_as_an_attempt() -> None:
    died = RunStatus(phase="Running", attempt=2, pid=1, first_step=5)
    status = taken_over(died, 5, os.getpid())
    assert (status.attempt, status.fruitless) == (3, 1)
    assert taken_over(None, 0, os.getpid()).attempt == 1


@given(st.lists(st.integers(0, 5)))
def test_fruitless_counts_the_attempts_since_the_last_progress(
    gains: list[int],
) -> None:
    """A run that moves, however slowly, is never given up."""
    step, status = 0, announced(None, 0)
    for gain in gains:
        step += gain
        status = announced(status, step)
    idle = 0
    for gain in reversed(gains):
        if gain:
            break
        idle += 1
    assert status.fruitless == idle
    assert status.attempt == len(gains) + 1


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [
        (0, 0),
        (1, 5),
        (2, 10),
        (3, 20),
        (6, 160),
        (7, 320),
        (8, 360),
        (99, 360),
    ],
)
def test_the_delay_after_a_crash_doubles_up_to_six_minutes(
    failures: int, seconds: float
) -> None:
    due = retry_at(failures, CRASHED, CRASHED)
    assert due == CRASHED + timedelta(seconds=seconds)


def test_the_delay_counts_from_the_crash() -> None:
    """A controller that starts later does not wait longer."""
    later = CRASHED + timedelta(hours=1)
    assert retry_at(3, CRASHED, later) == CRASHED + timedelta(seconds=20)


def test_nobody_waits_for_a_clock_that_was_set_back() -> None:
    now = CRASHED - timedelta(hours=1)
    assert retry_at(3, CRASHED, now) == now


def test_nothing_is_known_of_an_old_crash() -> None:
    assert retry_at(3, None, CRASHED) == CRASHED

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.engine.resource import parse_duration
from reconciler.generations.resource import Window
from reconciler.generations.windows import is_open, next_opening

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def test_no_windows_means_always() -> None:
    assert is_open((), BERLIN, at("2026-11-25T12:00:00+00:00"))
    assert next_opening((), BERLIN, at("2026-11-25T12:00:00+00:00")) is None


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2026-11-25T20:59:59+00:00", False),
        ("2026-11-25T21:00:00+00:00", True),
        ("2026-11-26T04:59:59+00:00", True),
        ("2026-11-26T05:00:00+00:00", False),
    ],
)
def test_a_window_over_midnight(time: str, expected: bool) -> None:
    windows = (Window(start="22:00", duration="8h"),)
    assert is_open(windows, BERLIN, at(time)) is expected


def test_days_are_those_on_which_the_window_starts() -> None:
    windows = (Window(days=("Fri",), start="23:00", duration="2h"),)
    assert is_open(windows, BERLIN, at("2026-11-27T22:30:00+00:00"))
    assert is_open(windows, BERLIN, at("2026-11-27T23:30:00+00:00"))
    assert not is_open(windows, BERLIN, at("2026-11-26T22:30:00+00:00"))


def test_summer_time_moves_the_opening() -> None:
    windows = (Window(start="22:00", duration="1h"),)
    before = next_opening(windows, BERLIN, at("2026-10-24T12:00:00+00:00"))
    after = next_opening(windows, BERLIN, at("2026-10-25T12:00:00+00:00"))
    assert before == at("2026-10-24T20:00:00+00:00")
    assert after == at("2026-10-25T21:00:00+00:00")


@given(
    st.timedeltas(timedelta(0), timedelta(days=365)).map(
        lambda passed: datetime(2026, 1, 1, tzinfo=UTC) + passed
    ),
    st.integers(0, 23),
    st.sampled_from(["30m", "8h", "30h"]),
    st.sets(st.sampled_from(["Mon", "Wed", "Sun"])),
)
def test_the_next_opening_is_open_and_the_moment_before_is_its_start(
    now, hour, duration, days
) -> None:
    window = Window(days=tuple(days), start=f"{hour:02}:00", duration=duration)
    opening = next_opening((window,), BERLIN, now)
    assert opening is not None
    assert now < opening <= now + timedelta(days=8)
    assert is_open((window,), BERLIN, opening)
    end = opening + parse_duration(duration)
    assert is_open((window,), BERLIN, end - timedelta(seconds=1))

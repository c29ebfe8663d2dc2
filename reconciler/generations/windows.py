"""Windows of a TrainingSchedule: when generations may start. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from reconciler.engine.resource import parse_duration
from reconciler.generations.resource import Window

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
HORIZON_DAYS = 8


def is_open(windows: Sequence[Window], zone: ZoneInfo, now: datetime) -> bool:
    """Whether a generation may start now; no windows means always."""
    if not windows:
        return True
    return any(
        start <= now < start + parse_duration(window.duration)
        for window in windows
        for start in _starts(window, zone, now)
    )


def next_opening(
    windows: Sequence[Window], zone: ZoneInfo, now: datetime
) -> datetime | None:
    """When the next window opens, in UTC; None without windows."""
    starts = [
        start
        for window in windows
        for start in _starts(window, zone, now)
        if start > now
    ]
    return min(starts, default=None)


def _starts(window: Window, zone: ZoneInfo, now: datetime) -> list[datetime]:
    """Openings around `now`, in UTC.

    Local times that a daylight-saving change skips or repeats are resolved
    as the standard library does with fold 0: the first of two.
    """
    hour, minute = (int(part) for part in window.start.split(":"))
    today = now.astimezone(zone).date()
    back = parse_duration(window.duration).days + 1
    days = [today + timedelta(days=n) for n in range(-back, HORIZON_DAYS + 1)]
    return [
        datetime.combine(day, time(hour, minute), zone).astimezone(UTC)
        for day in days
        if not window.days or DAYS[day.weekday()] in window.days
    ]

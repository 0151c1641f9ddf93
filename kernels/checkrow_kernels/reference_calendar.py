"""Slow references of calendar arithmetic: Python's dates."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

Array = Any
_EPOCH = dt.date(1970, 1, 1).toordinal()


def truncate_month_days(values: Array, out: Array) -> None:
    """Takes the first of the month."""
    out[:] = [_days(dt.date.fromordinal(int(v) + _EPOCH).replace(day=1)) for v in values]


def truncate_year_days(values: Array, out: Array) -> None:
    """Takes the first of January."""
    out[:] = [_days(dt.date.fromordinal(int(v) + _EPOCH).replace(month=1, day=1)) for v in values]


def civil_from_days(days: int) -> tuple[int, int, int]:
    """Reads the calendar."""
    date = dt.date.fromordinal(days + _EPOCH)
    return date.year, date.month, date.day


def days_from_civil(year: int, month: int, day_of_month: int) -> int:
    """Counts days."""
    return _days(dt.date(year, month, day_of_month))


def weekday(days: int) -> int:
    """Asks the calendar."""
    return dt.date.fromordinal(days + _EPOCH).weekday()


def _start(time: int, per_second: int, first: Callable[[dt.date], dt.date]) -> int:
    """Returns the start of a period as a time, given which of its dates is the first."""
    date = dt.datetime(1, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=_EPOCH - 1, seconds=time // per_second)
    return _days(first(date.date())) * 86_400 * per_second


def day_of(time: int, per_second: int) -> int:
    """Counts whole days."""
    return _start(time, per_second, lambda d: d) // (86_400 * per_second)


def floor_day(time: int, per_second: int) -> int:
    """Keeps the date."""
    return _start(time, per_second, lambda d: d)


def floor_week(time: int, per_second: int) -> int:
    """Goes back to Monday."""
    return _start(time, per_second, lambda d: d - dt.timedelta(d.weekday()))


def floor_month(time: int, per_second: int) -> int:
    """Replaces the day."""
    return _start(time, per_second, lambda d: d.replace(day=1))


def floor_quarter(time: int, per_second: int) -> int:
    """Replaces day and month."""
    return _start(time, per_second, lambda d: d.replace(month=(1, 4, 7, 10)[(d.month - 1) // 3], day=1))


def floor_year(time: int, per_second: int) -> int:
    """Replaces day and month by the first."""
    return _start(time, per_second, lambda d: d.replace(month=1, day=1))


def _days(date: dt.date) -> int:
    return date.toordinal() - _EPOCH

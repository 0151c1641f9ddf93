"""Civil dates from days since 1970-01-01 in the proleptic Gregorian calendar; in users' kernels `cr.calendar`.

Dates arrive in kernels as day numbers, times as int64 in the kernel's unit: `per_second` units, by default
microseconds. All is in UTC.

Source: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms". O(1); exact for every int32 day.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkrow_kernels.jit import inline_kernel, kernel

Array = NDArray[Any]


@inline_kernel
def civil_from_days(days: Any) -> Any:
    """Returns (year, month, day) of a day number."""
    # Plain int32 scalars would wrap near their ends when interpreted.
    z = np.int64(days) + 719468
    era = z // 146097
    doe = z - era * 146097
    yoe = (doe - doe // 1460 + doe // 36524 - doe // 146096) // 365
    doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
    mp = (5 * doy + 2) // 153
    d = doy - (153 * mp + 2) // 5 + 1
    m = mp + 3 if mp < 10 else mp - 9
    return yoe + era * 400 + (1 if m <= 2 else 0), m, d


@inline_kernel
def days_from_civil(year: Any, month: Any, day_of_month: Any) -> Any:
    """Returns the day number of a date."""
    y = np.int64(year) - (1 if month <= 2 else 0)
    era = y // 400
    yoe = y - era * 400
    mp = month - 3 if month > 2 else month + 9
    doy = (153 * mp + 2) // 5 + day_of_month - 1
    doe = yoe * 365 + yoe // 4 - yoe // 100 + doy
    return era * 146097 + doe - 719468


@inline_kernel
def year(days: Any) -> Any:
    """Returns the civil year of a day number."""
    return civil_from_days(days)[0]


@inline_kernel
def month(days: Any) -> Any:
    """Returns the month, 1 to 12, of a day number."""
    return civil_from_days(days)[1]


@inline_kernel
def day(days: Any) -> Any:
    """Returns the day of the month, 1 to 31, of a day number."""
    return civil_from_days(days)[2]


@inline_kernel
def truncate_month(days: Any) -> Any:
    """Returns the day number of the first of the month."""
    return np.int64(days) - civil_from_days(days)[2] + 1


@inline_kernel
def truncate_year(days: Any) -> Any:
    """Returns the day number of the first of January."""
    return days_from_civil(civil_from_days(days)[0], 1, 1)


@inline_kernel
def weekday(days: Any) -> Any:
    """Returns the day of the week of a day number: Monday is 0, Sunday 6."""
    return (np.int64(days) + 3) % 7  # 1970-01-01 was a Thursday


@inline_kernel
def day_of(time: Any, per_second: Any = 1_000_000) -> Any:
    """Returns the day number of a time."""
    return np.int64(time) // (86_400 * per_second)


@inline_kernel
def floor_day(time: Any, per_second: Any = 1_000_000) -> Any:
    """Returns the midnight at or before a time."""
    return day_of(time, per_second) * (86_400 * per_second)


@inline_kernel
def floor_week(time: Any, per_second: Any = 1_000_000) -> Any:
    """Returns the start of a time's week, which begins on Monday."""
    days = day_of(time, per_second)
    return (days - weekday(days)) * (86_400 * per_second)


@inline_kernel
def floor_month(time: Any, per_second: Any = 1_000_000) -> Any:
    """Returns the start of a time's month."""
    return truncate_month(day_of(time, per_second)) * (86_400 * per_second)


@inline_kernel
def floor_quarter(time: Any, per_second: Any = 1_000_000) -> Any:
    """Returns the start of a time's quarter, which begins in January, April, July or October."""
    y, m, _ = civil_from_days(day_of(time, per_second))
    return days_from_civil(y, m - (m - 1) % 3, 1) * (86_400 * per_second)


@inline_kernel
def floor_year(time: Any, per_second: Any = 1_000_000) -> Any:
    """Returns the start of a time's year."""
    return truncate_year(day_of(time, per_second)) * (86_400 * per_second)


@kernel
def truncate_month_days(values: Array, out: Array) -> None:
    """Writes the first of the month of each day number."""
    for i in range(len(values)):
        out[i] = truncate_month(values[i])


@kernel
def truncate_year_days(values: Array, out: Array) -> None:
    """Writes the first of January of each day number."""
    for i in range(len(values)):
        out[i] = truncate_year(values[i])

"""Civil dates from days since 1970-01-01, in the proleptic Gregorian calendar.

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

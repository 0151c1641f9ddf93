"""Rows of the table of kernels: calendar arithmetic."""

from __future__ import annotations

import numpy as np

from checkrow_kernels import calendar
from checkrow_kernels import reference_calendar as reference
from checkrow_kernels.kernel_info import Arguments, KernelInfo

_CALENDAR = "H. Hinnant, chrono-compatible low-level date algorithms"


def _time(rng: np.random.Generator, _: int) -> Arguments:
    """A time between the years 1 and 9999, and how many of its units make a second."""
    per_second = int(10 ** rng.choice([0, 3, 6]))
    return int(rng.integers(-719_162 * 86_400, 2_932_896 * 86_400)) * per_second + int(
        rng.integers(per_second)
    ), per_second


CALENDAR = (
    KernelInfo(
        name="truncate_month_days", function=calendar.truncate_month_days, reference=reference.truncate_month_days,
        cost="O(rows)", source=_CALENDAR,
        example=lambda r, n: (r.integers(-700_000, 2_900_000, n).astype(np.int32), np.empty(n, np.int32)),
    ),
    KernelInfo(
        name="truncate_year_days", function=calendar.truncate_year_days, reference=reference.truncate_year_days,
        cost="O(rows)", source=_CALENDAR,
        example=lambda r, n: (r.integers(-700_000, 2_900_000, n).astype(np.int32), np.empty(n, np.int32)),
    ),
    KernelInfo(
        name="civil_from_days", function=calendar.civil_from_days, reference=reference.civil_from_days, cost="O(1)",
        source=_CALENDAR,
        example=lambda r, _: (int(r.integers(-719_162, 2_932_896)),),
    ),
    KernelInfo(
        name="days_from_civil", function=calendar.days_from_civil, reference=reference.days_from_civil, cost="O(1)",
        source=_CALENDAR,
        example=lambda r, _: tuple(int(v) for v in (r.integers(1, 9999), r.integers(1, 12), r.integers(1, 28))),
    ),
    KernelInfo(
        name="weekday", function=calendar.weekday, reference=reference.weekday, cost="O(1)", source=_CALENDAR,
        example=lambda r, _: (int(r.integers(-719_162, 2_932_896)),),
    ),
    KernelInfo(
        name="day_of", function=calendar.day_of, reference=reference.day_of, cost="O(1)", example=_time,
    ),
    *(
        KernelInfo(
            name=f"floor_{unit}", function=getattr(calendar, f"floor_{unit}"),
            reference=getattr(reference, f"floor_{unit}"), cost="O(1)", source=_CALENDAR, example=_time,
        )
        for unit in ("day", "week", "month", "quarter", "year")
    ),
)  # fmt: skip

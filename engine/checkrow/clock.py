"""Time as a value that is passed in: the only place that asks the system for it."""

from __future__ import annotations

import datetime as dt
import time
from typing import Protocol


class Clock(Protocol):
    """What tells the time."""

    def now(self) -> dt.datetime:
        """Returns the wall-clock time, aware, in UTC."""

    def monotonic_s(self) -> float:
        """Returns seconds that never go back, for durations."""


class SystemClock:
    """The operating system's clocks."""

    def now(self) -> dt.datetime:
        """Returns the wall-clock time, aware, in UTC."""
        return dt.datetime.now(dt.UTC)

    def monotonic_s(self) -> float:
        """Returns seconds that never go back, for durations."""
        return time.monotonic()

"""How long tasks may run: pure, the caller brings the time."""

from __future__ import annotations


class Deadlines:
    """When running tasks must have ended.

    Parameters
    ----------
    limit_s : float or None
        Seconds a task may run; None for any time.
    """

    def __init__(self, limit_s: float | None) -> None:
        self._limit_s = limit_s
        self._ends: dict[int, float] = {}

    def begin(self, task: int, now_s: float) -> None:
        """Notes that a task begins."""
        if self._limit_s is not None:
            self._ends[task] = now_s + self._limit_s

    def end(self, task: int) -> None:
        """Notes that a task ended, or is waited for no more."""
        self._ends.pop(task, None)

    def wait_s(self, now_s: float) -> float | None:
        """Returns after which time to look again; None if no task has a limit."""
        return max(0.0, min(self._ends.values()) - now_s) if self._ends else None

    def overdue(self, now_s: float) -> tuple[int, ...]:
        """Returns the tasks that should have ended, in the order they should have."""
        late = [(end, task) for task, end in self._ends.items() if end <= now_s]
        return tuple(task for _, task in sorted(late))

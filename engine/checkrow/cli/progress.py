"""Progress on standard error: bars on a terminal, plain lines elsewhere; both read the run's events."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from checkrow.events import Event, RunFinished, RunStarted, StageFinished, StageStarted, TaskFinished


class ProgressDisplay:
    """Shows events while the `with` block runs."""

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled
        self._console = Console(stderr=True)
        self._live: Progress | None = None
        self._bars: dict[int, TaskID] = {}
        if enabled and self._console.is_terminal:
            self._live = Progress(
                TextColumn("{task.description:22}"), BarColumn(), MofNCompleteColumn(), TextColumn("tasks"),
                TextColumn("{task.fields[rows]:>18}"), TimeElapsedColumn(), console=self._console,
            )  # fmt: skip

    def __enter__(self) -> Self:
        """Starts the display."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the display."""
        if self._live is not None:
            self._live.stop()

    def __call__(self, event: Event) -> None:
        """Shows an event."""
        if self._live is not None:
            self._bar(self._live, event)
        elif self._enabled:
            text = _line(event)
            if text:
                sys.stderr.write(text + "\n")

    def _bar(self, live: Progress, event: Event) -> None:
        if isinstance(event, StageStarted):
            self._bars[event.stage] = live.add_task(
                event.name, total=event.tasks, completed=event.tasks_reused, rows=""
            )
        elif isinstance(event, TaskFinished) and event.stage in self._bars:
            live.advance(self._bars[event.stage])
        elif isinstance(event, StageFinished) and event.stage in self._bars:
            live.update(self._bars[event.stage], rows=f"{event.rows_in:,} rows")


def _line(event: Event) -> str:
    match event:
        case RunStarted():
            return f"run {event.run} {'continues' if event.resumed else 'starts'}"
        case StageStarted():
            reused = f", {event.tasks_reused} done before" if event.tasks_reused else ""
            return f"  {event.name}: {event.tasks} tasks{reused}"
        case StageFinished():
            bad = "".join(
                f", {rows:,} {what}"
                for rows, what in ((event.rows_nulled, "nulled"), (event.rows_quarantined, "quarantined"))
                if rows
            )
            return f"  {event.name}: {event.rows_in:,} rows in, {event.rows_out:,} out{bad}, {event.seconds:.2f} s"
        case RunFinished():
            return f"run {event.run} {event.status.replace('_', ' ')}: {event.rows_out:,} rows, {event.seconds:.2f} s"
    return ""

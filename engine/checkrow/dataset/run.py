"""`Run`: what happened, read from the run's events and its commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from checkrow.dataset.html import table_html
from checkrow.events import RunFinished, StageFinished, StageStarted, TaskFinished
from checkrow.run.lifecycle import Status
from checkrow.storage.log import OUTPUT, QUARANTINE

if TYPE_CHECKING:
    from pathlib import Path

    from checkrow.events import Event
    from checkrow.run.runner import RunOutcome


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A stage of a finished run: what it did, with rows and seconds."""

    name: str
    rows_in: int
    rows_out: int
    rows_filtered: int
    rows_nulled: int
    rows_quarantined: int
    rows_expanded: int
    tasks: int
    tasks_reused: int
    seconds: float


class Run:
    """A finished execution of a plan.

    Attributes
    ----------
    id : str
    status : str
        "committed" or "already_done".
    changed : str
        What differs now from what was committed ("code", "inputs"), or empty. A continued run reads the files it listed
        when it began; "inputs" says that others were added since.
    """

    def __init__(self, outcome: RunOutcome, data: Path, control: Path) -> None:
        self.id = outcome.run
        self.status = str(outcome.status)
        self.changed = outcome.changed
        self.data = data
        self.control = control
        self._events = outcome.events
        self._record = outcome.record

    @property
    def already_done(self) -> bool:
        """Whether the instance had been committed before and nothing was run."""
        return self.status == Status.ALREADY_DONE

    @property
    def snapshot(self) -> int | None:
        """Number of the commit."""
        return self._record.number if self._record else None

    @property
    def rows_out(self) -> int:
        """Rows committed."""
        return self._record.outputs[OUTPUT].rows if self._record else 0

    @property
    def rows_nulled(self) -> int:
        """Rows on which a kernel failed and null stands in for its result."""
        return sum(step.rows_nulled for step in self.steps)

    @property
    def rows_quarantined(self) -> int:
        """Rows on which a kernel failed and that are in the dataset's quarantine with the reason."""
        change = self._record.outputs.get(QUARANTINE) if self._record else None
        return change.rows if change else 0

    @property
    def rows_in(self) -> int:
        """Rows read by the first stage."""
        steps = self.steps
        return steps[0].rows_in if steps else 0

    @property
    def files(self) -> tuple[str, ...]:
        """Paths of the committed files, below the data root."""
        return tuple(f.path for f in self._record.outputs[OUTPUT].adds) if self._record else ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """What each stage did, in order."""
        return steps_of(self._events)

    @property
    def metrics(self) -> dict[str, float | int]:
        """Totals: rows, bytes, seconds, tasks run and reused."""
        ended = next((e for e in reversed(self._events) if isinstance(e, RunFinished)), None)
        tasks = [e for e in self._events if isinstance(e, TaskFinished)]
        return {
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "rows_quarantined": self.rows_quarantined,
            "bytes_out": sum(f.size_bytes for f in self._record.outputs[OUTPUT].adds) if self._record else 0,
            "seconds": ended.seconds if ended else 0.0,
            "tasks_run": len(tasks),
            "tasks_reused": sum(s.tasks_reused for s in self.steps),
        }

    def __repr__(self) -> str:
        """Returns one line: id, status, rows, seconds."""
        return f"Run({self.id}, {self.status}, {self.rows_out:,} rows, {self.metrics['seconds']:.2f} s)"

    def _repr_html_(self) -> str:
        some = some_columns(self.steps)
        rows = [
            (
                s.name, f"{s.rows_in:,}", f"{s.rows_out:,}", *(f"{getattr(s, f'rows_{name}'):,}" for name in some),
                s.tasks, s.tasks_reused, f"{s.seconds:.2f}",
            )
            for s in self.steps
        ]  # fmt: skip
        return table_html(repr(self), ("step", "rows in", "rows out", *some, "tasks", "reused", "seconds"), rows)


def some_columns(steps: tuple[Step, ...]) -> tuple[str, ...]:
    """Returns what happened to rows in any of some steps, of what seldom does: "expanded", "nulled", "quarantined"."""
    return tuple(
        name for name in ("expanded", "nulled", "quarantined") if any(getattr(s, f"rows_{name}") for s in steps)
    )


def steps_of(events: tuple[Event, ...]) -> tuple[Step, ...]:
    """Returns the steps that a stream of events tells of; of repeated stages the last."""
    started = {e.stage: e for e in events if isinstance(e, StageStarted)}
    finished = {e.stage: e for e in events if isinstance(e, StageFinished)}
    return tuple(
        Step(
            name=e.name, rows_in=e.rows_in, rows_out=e.rows_out, rows_filtered=e.rows_filtered,
            rows_nulled=e.rows_nulled, rows_quarantined=e.rows_quarantined,
            rows_expanded=e.rows_expanded,
            tasks=started[n].tasks, tasks_reused=started[n].tasks_reused, seconds=e.seconds,
        )
        for n, e in sorted(finished.items())
    )  # fmt: skip

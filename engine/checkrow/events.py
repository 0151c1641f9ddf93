"""Events: the only output of a run's progress. Bars, logs, reports and alerts all read this stream."""

from __future__ import annotations

from collections.abc import Callable

import msgspec


class RunStarted(msgspec.Struct, frozen=True, kw_only=True, tag="run_started"):
    """A run begins or continues; `tasks_reused` were finished by an earlier process."""

    run: str
    job: str
    stages: int
    resumed: bool


class StageStarted(msgspec.Struct, frozen=True, kw_only=True, tag="stage_started"):
    """A stage's tasks are known; `tasks_reused` of them have a manifest already."""

    run: str
    stage: int
    name: str
    tasks: int
    tasks_reused: int


class TaskFinished(msgspec.Struct, frozen=True, kw_only=True, tag="task_finished"):
    """A task ended well."""

    run: str
    stage: int
    task: int
    rows_in: int
    rows_out: int
    size_bytes: int
    seconds: float
    durable: bool
    rows_nulled: int = 0
    rows_quarantined: int = 0
    rows_expanded: int = 0


class StageFinished(msgspec.Struct, frozen=True, kw_only=True, tag="stage_finished"):
    """All tasks of a stage are done."""

    run: str
    stage: int
    name: str
    rows_in: int
    rows_out: int
    rows_filtered: int
    rows_pruned: int
    seconds: float
    rows_nulled: int = 0
    rows_quarantined: int = 0
    rows_expanded: int = 0


class RunFinished(msgspec.Struct, frozen=True, kw_only=True, tag="run_finished"):
    """A run ended: committed, done before, failed or interrupted."""

    run: str
    status: str
    rows_out: int
    seconds: float
    message: str = ""


Event = RunStarted | StageStarted | TaskFinished | StageFinished | RunFinished
Listener = Callable[[Event], None]


def to_all(*listeners: Listener) -> Listener:
    """Returns a listener that passes each event to several, in order."""

    def listen(event: Event) -> None:
        for listener in listeners:
            listener(event)

    return listen

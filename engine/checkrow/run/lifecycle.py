"""What happens next, as pure functions: which tasks start, when a stage is done, which states a run may take.

Events in, decisions out; no I/O, no clock, no threads. The runner carries the decisions out.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

import msgspec


class Status(enum.StrEnum):
    """States of a run."""

    PLANNED = "planned"
    RUNNING = "running"
    COMMITTING = "committing"
    COMMITTED = "committed"
    ALREADY_DONE = "already_done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.PLANNED: frozenset({Status.RUNNING, Status.ALREADY_DONE, Status.FAILED}),
    Status.RUNNING: frozenset({Status.COMMITTING, Status.FAILED, Status.INTERRUPTED}),
    Status.COMMITTING: frozenset({Status.COMMITTED, Status.FAILED, Status.INTERRUPTED}),
    Status.FAILED: frozenset({Status.RUNNING}),
    Status.INTERRUPTED: frozenset({Status.RUNNING}),
    Status.COMMITTED: frozenset(),
    Status.ALREADY_DONE: frozenset(),
}


def advance(now: Status, then: Status) -> Status:
    """Returns the next state; raises ValueError for a step that no run takes."""
    if then not in TRANSITIONS[now]:
        raise ValueError(f"a run that is {now} cannot become {then}")
    return then


class StageProgress(msgspec.Struct, frozen=True):
    """Tasks of a stage: waiting (largest first), running, done."""

    waiting: tuple[int, ...]
    running: frozenset[int] = msgspec.field(default_factory=frozenset)
    done: frozenset[int] = msgspec.field(default_factory=frozenset)
    draining: bool = False

    @property
    def finished(self) -> bool:
        """Whether nothing runs and nothing more will start."""
        return not self.running and (self.draining or not self.waiting)


def begin(sizes_bytes: Iterable[tuple[int, int]], done: Iterable[int] = ()) -> StageProgress:
    """Returns the progress of a stage whose tasks have (number, size); big tasks go first so that none is left last."""
    finished = frozenset(done)
    order = sorted(((-size, number) for number, size in sizes_bytes if number not in finished))
    return StageProgress(tuple(number for _, number in order), frozenset(), finished)


def start(progress: StageProgress, capacity: int) -> tuple[StageProgress, tuple[int, ...]]:
    """Returns the progress with as many tasks started as there is room for, and their numbers."""
    if progress.draining:
        return progress, ()
    room = max(0, capacity - len(progress.running))
    chosen, rest = progress.waiting[:room], progress.waiting[room:]
    return msgspec.structs.replace(progress, waiting=rest, running=progress.running | set(chosen)), chosen


def finish(progress: StageProgress, number: int) -> StageProgress:
    """Returns the progress with a task done; a second attempt's result changes nothing."""
    return msgspec.structs.replace(progress, running=progress.running - {number}, done=progress.done | {number})


def give_up(progress: StageProgress, number: int) -> StageProgress:
    """Returns the progress after a task failed: nothing more starts."""
    return msgspec.structs.replace(progress, running=progress.running - {number}, draining=True)


def drain(progress: StageProgress) -> StageProgress:
    """Returns the progress when the run is to stop at a task boundary."""
    return msgspec.structs.replace(progress, draining=True)

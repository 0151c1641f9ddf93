"""Runs that end after some tasks, as after a crash."""

from __future__ import annotations

import pytest

import checkrow as cr
from checkrow.events import Event, TaskFinished


class Stop:
    """Ends a run after some tasks, as a crash would: nothing after it runs."""

    def __init__(self, tasks: int) -> None:
        self.left = tasks
        self.done: list[tuple[int, int]] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, TaskFinished):
            self.done.append((event.stage, event.task))
            self.left -= 1
            if self.left == 0:
                raise RuntimeError("stopped by the test")


def interrupted(job, source, tasks=2, **options) -> list[tuple[int, int]]:
    stop = Stop(tasks)
    with pytest.raises(RuntimeError, match="stopped by the test"):
        job.run(
            source=source, target="out", progress=stop, checkpoint_interval_s=0, limits=cr.Limits(threads=1), **options
        )
    return stop.done

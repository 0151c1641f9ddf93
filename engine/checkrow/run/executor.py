"""Where tasks run: the protocol, and threads of this process (the default; nothing stands on the data path)."""

from __future__ import annotations

import os
import queue
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from checkrow.errors import ConfigError
from checkrow.operators.exchange import ExchangeOutput
from checkrow.run.task import TaskResult, TaskSpec, run_task


@dataclass(frozen=True, slots=True)
class Done:
    """A task that ended: its number, and its result or the error it raised."""

    task: int
    result: TaskResult | None
    error: BaseException | None


class Executor(Protocol):
    """Runs tasks; every implementation passes the suite in tests/contracts."""

    @property
    def capacity(self) -> int:
        """How many tasks may run at once."""

    @property
    def shares_memory(self) -> bool:
        """Whether results can stay in memory for the next stage."""

    def submit(self, spec: TaskSpec, inputs: Sequence[ExchangeOutput | str]) -> None:
        """Starts a task."""

    def next_done(self) -> Done | None:
        """Waits for a task to end, in whatever order; returns None when `wake` was called."""

    def wake(self) -> None:
        """Lets a waiting `next_done` return; safe in a signal handler."""

    def close(self) -> None:
        """Lets running tasks end and frees what the executor made."""


class ThreadExecutor:
    """Threads of this process; compiled loops and Arrow decoding release the GIL.

    Parameters
    ----------
    threads : int
        Default: the cores this process may use.
    """

    def __init__(self, threads: int | None = None) -> None:
        wanted = threads if threads is not None else len(os.sched_getaffinity(0))
        if wanted < 1:
            raise ConfigError(f"threads={wanted}; at least 1 is needed")
        self._threads = wanted
        self._pool: ThreadPoolExecutor | None = None
        self._ended: queue.SimpleQueue[Done | None] = queue.SimpleQueue()

    @property
    def capacity(self) -> int:
        """How many tasks may run at once."""
        return self._threads

    @property
    def shares_memory(self) -> bool:
        """Whether results can stay in memory for the next stage."""
        return True

    def submit(self, spec: TaskSpec, inputs: Sequence[ExchangeOutput | str]) -> None:
        """Starts a task."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="checkrow")
        future = self._pool.submit(run_task, spec, inputs)
        number = spec.task.number

        def ended(f: Future[TaskResult]) -> None:
            error = f.exception()
            self._ended.put(Done(number, None if error else f.result(), error))

        future.add_done_callback(ended)

    def next_done(self) -> Done | None:
        """Waits for a task to end, in whatever order; returns None when `wake` was called."""
        return self._ended.get()

    def wake(self) -> None:
        """Lets a waiting `next_done` return; a SimpleQueue may be filled in a signal handler."""
        self._ended.put(None)

    def close(self) -> None:
        """Lets running tasks end and frees the threads."""
        if self._pool is not None:
            self._pool.shutdown(wait=True)
            self._pool = None

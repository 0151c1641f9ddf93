"""Where tasks run: the protocol, and threads of this process (the default; nothing stands on the data path)."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Sequence
from typing import Protocol

import msgspec

from checkrow.buffers import run_over
from checkrow.errors import ConfigError
from checkrow.operators.exchange import ExchangeOutput
from checkrow.run.spec import TaskResult, TaskSpec
from checkrow.run.task import run_task

Work = tuple[TaskSpec, Sequence[ExchangeOutput | str]]


class Done(msgspec.Struct, frozen=True):
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

    def next_done(self, timeout_s: float | None = None) -> Done | None:
        """Waits for a task to end, in whatever order; returns None when `wake` was called or the time is over."""

    def wake(self) -> None:
        """Lets a waiting `next_done` return; safe in a signal handler."""

    def abandon(self, task: int) -> str:
        """Gives up a running task, killing it where that is possible; returns what became of it, as a sentence."""

    def close(self) -> None:
        """Frees what the executor made; tasks that still run are not waited for."""


def _done(work: Work) -> Done:
    try:
        return Done(work[0].task.number, run_task(*work), None)
    except BaseException as error:  # noqa: BLE001  # whatever it is, the driver raises it
        return Done(work[0].task.number, None, error)


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
        self._capacity = wanted
        self._threads: list[threading.Thread] = []
        self._work: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._ended: queue.SimpleQueue[Done | None] = queue.SimpleQueue()
        self._running: set[int] = set()

    @property
    def capacity(self) -> int:
        """How many tasks may run at once."""
        return self._capacity

    @property
    def shares_memory(self) -> bool:
        """Whether results can stay in memory for the next stage."""
        return True

    def submit(self, spec: TaskSpec, inputs: Sequence[ExchangeOutput | str]) -> None:
        """Starts a task."""
        self._running.add(spec.task.number)
        self._work.put((spec, inputs))
        if len(self._threads) < min(self._capacity, len(self._running)):
            name = f"checkrow-{len(self._threads)}"
            # Daemons: a kernel that never ends must not keep the process from ending.
            self._threads.append(threading.Thread(target=self._serve, name=name, daemon=True))
            self._threads[-1].start()

    def _serve(self) -> None:
        while self._serve_one(self._work.get()):
            pass  # while it waits, a thread holds neither a task's input nor its result

    def _serve_one(self, work: Work | None) -> bool:
        if work is None:
            return False
        done = _done(work)
        self._running.discard(done.task)
        self._ended.put(done)
        return True

    def next_done(self, timeout_s: float | None = None) -> Done | None:
        """Waits for a task to end, in whatever order; returns None when `wake` was called or the time is over."""
        with contextlib.suppress(queue.Empty):
            return self._ended.get(timeout=timeout_s)
        return None

    def wake(self) -> None:
        """Lets a waiting `next_done` return; a SimpleQueue may be filled in a signal handler."""
        self._ended.put(None)

    def abandon(self, task: int) -> str:
        """Gives up a task; machine code in a thread cannot be stopped."""
        self._running.discard(task)
        return "Its thread goes on until this process ends"

    def close(self) -> None:
        """Frees the threads, and soon the memory they used; one that still runs a task ends after it."""
        for _ in self._threads:
            self._work.put(None)
        for thread in self._threads if not self._running else ():
            thread.join(timeout=1.0)
        self._threads = []
        run_over()

"""Choosing an executor and running a tree on it."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pyarrow as pa

from checkrow.errors import ConfigError
from checkrow.expressions import types
from checkrow.plan.bad_rows import BadRows
from checkrow.plan.logical import Relation
from checkrow.plan.stages import CollectSink
from checkrow.run.executor import Executor, ThreadExecutor
from checkrow.run.on import cluster_executor
from checkrow.run.physical import physical_plan
from checkrow.run.runner import RunOptions, collect

TASK_TIMEOUT_S = 6 * 3600.0


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a run may use; never part of a fingerprint.

    Attributes
    ----------
    threads : int or None
        Threads of an in-process run; default: the cores this process may use.
    task_timeout_s : float or None
        Seconds a task may run, six hours by default; None for any time. On a cluster the time a task waits for its
        worker counts too. A task that runs longer ends the run, resumable: its worker process is killed; in this
        process its thread goes on until the process ends.
    """

    threads: int | None = None
    task_timeout_s: float | None = TASK_TIMEOUT_S

    def __post_init__(self) -> None:
        """Refuses what cannot be kept."""
        if self.threads is not None and self.threads < 1:
            raise ConfigError(f"Limits(threads={self.threads}): at least 1 is needed")
        if self.task_timeout_s is not None and not self.task_timeout_s > 0:
            raise ConfigError(f"Limits(task_timeout_s={self.task_timeout_s}): more than 0 seconds are needed, or None")


@contextlib.contextmanager
def executor_for(on: object, limits: Limits | None, workspace: Path | None) -> Iterator[Executor]:
    """Yields the executor `on` names; a cluster must see the workspace."""
    if on is None:
        threads = ThreadExecutor(limits.threads if limits else None)
        try:
            yield threads
        finally:
            threads.close()
        return
    with cluster_executor(on, workspace) as executor:
        yield executor


def execute_collect(
    relation: Relation, sink: CollectSink, on: object, limits: Limits | None, bad_rows: BadRows | None
) -> pa.Table:
    """Runs a tree and returns its rows as a table."""
    plan = physical_plan(relation, sink, bad_rows=bad_rows)
    schema = types.arrow_schema(plan.stages[-1].output_schema())
    options = RunOptions(task_timeout_s=(limits or Limits()).task_timeout_s)
    with _scratch(on) as workspace, executor_for(on, limits, workspace) as executor:
        outcome = collect(plan, executor, options, workspace)
    return pa.Table.from_batches(outcome.batches, schema=schema)


@contextlib.contextmanager
def _scratch(on: object) -> Iterator[Path | None]:
    """Yields a directory for exchange files when rows cannot stay in this process."""
    if on is None:
        yield None
        return
    directory = Path(tempfile.mkdtemp(prefix="checkrow-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)

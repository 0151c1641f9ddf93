"""Driving one stage to its end on an executor: reuse what is recorded, start the rest, keep what would be lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from checkrow.clock import Clock
from checkrow.errors import CheckrowError, KernelRowError, MemoryLimitError, TaskError, TaskTimeout
from checkrow.events import Listener, StageFinished, StageStarted, TaskFinished
from checkrow.expressions.nodes import walk
from checkrow.operators.exchange import ExchangeOutput, MemoryExchange
from checkrow.plan.bad_rows import BadRows
from checkrow.plan.slices import Task
from checkrow.plan.stages import ExchangeSink, GroupSource, MergeSource, ParquetSink, ScanSource, ScatterSink, Stage
from checkrow.run import lifecycle
from checkrow.run.deadlines import Deadlines
from checkrow.run.executor import Executor
from checkrow.run.interrupt import Interrupts
from checkrow.run.recording import persist_exchange
from checkrow.run.spec import TaskResult, TaskSpec, trimmed
from checkrow.storage.manifest import StagedOutput, TaskManifest
from checkrow.storage.store import PosixStore

CHECKPOINT_INTERVAL_S = 60.0


class Driving(msgspec.Struct, frozen=True, kw_only=True):
    """What stays the same while a run is driven."""

    run: str
    dataset: str
    fingerprint: str
    executor: Executor
    listener: Listener
    clock: Clock
    new_id: Callable[[], str]
    interrupts: Interrupts
    workspace: Path | None
    recorded: bool
    checkpoint_interval_s: float = CHECKPOINT_INTERVAL_S
    task_timeout_s: float | None = None
    limit: int | None = None
    bad_rows: BadRows = msgspec.field(default_factory=BadRows)
    rows_read: int = 0
    instance: str = ""
    source_options: dict[str, str | int | float | bool | None] = msgspec.field(default_factory=dict)


class FoundBad(msgspec.Struct, frozen=True, kw_only=True):
    """On how many rows kernels failed, in some stages, and the staged files that they left for."""

    rows: int = 0
    quarantine: tuple[StagedOutput, ...] = ()


class StageOutcome(msgspec.Struct):
    """What the tasks of a stage left, by task number; `before` is what the stages before it found bad."""

    results: dict[int, TaskResult] = msgspec.field(default_factory=dict)
    reused: int = 0
    before: FoundBad = msgspec.field(default_factory=FoundBad)

    def found_bad(self) -> FoundBad:
        """Returns what this stage and those before it found bad."""
        results = [self.results[n] for n in sorted(self.results)]
        rows = self.before.rows + sum(r.accounting.rows_bad for r in results)
        return FoundBad(rows=rows, quarantine=(*self.before.quarantine, *(f for r in results for f in r.quarantine)))

    def exchanges(self) -> list[ExchangeOutput | str]:
        """Returns the exchange outputs in task order: that order decides float sums."""
        out: list[ExchangeOutput | str] = []
        for number in sorted(self.results):
            result = self.results[number]
            found = result.exchange if result.exchange is not None else result.exchange_path
            if found is None:
                raise TaskError(f"task {number} of stage {result.stage} left no exchange output")
            out.append(found)
        return out


def stage_name(stage: Stage) -> str:
    """Returns what a stage does, in a user's words."""
    source = "read"
    if isinstance(stage.source, MergeSource):
        source = "merge"
    elif isinstance(stage.source, GroupSource):
        source = f"apply {stage.source.grouping.call.kernel.name}"
    source = ", ".join([source, *(f"expand by {e.call.kernel.name}" for e in stage.expansions)])
    if isinstance(stage.sink, ExchangeSink):
        return f"{source} and aggregate"
    if isinstance(stage.sink, ScatterSink):
        return f"{source} and scatter"
    return f"{source} and write" if isinstance(stage.sink, ParquetSink) else f"{source} and collect"


def kernel_names(stage: Stage) -> tuple[str, ...]:
    """Returns the names of the kernels a stage calls, in the order of their first call."""
    called = [n.kernel for node in stage.nodes() for n in walk(node) if n.kernel is not None]
    if isinstance(stage.source, GroupSource):
        called.append(stage.source.grouping.call.kernel)
    aggregations = [s.aggregation for s in (stage.source, stage.sink) if isinstance(s, (MergeSource, ExchangeSink))]
    called += [s.call.kernel for a in aggregations for p in a.parts for s in p.states if s.call is not None]
    return tuple(dict.fromkeys(k.name for k in called))


class StageDriver:
    """Drives one stage.

    Parameters
    ----------
    known : dict of int to TaskManifest
        Valid manifests of tasks that an earlier process finished.
    generations : dict of int to int
        Generation for the manifests of tasks whose earlier manifest is not valid any more.
    before : FoundBad
        What the stages before it found.
    """

    def __init__(
        self, driving: Driving, stage: Stage, tasks: Sequence[Task], bits: int, *, fused: bool,
        known: dict[int, TaskManifest], generations: dict[int, int], before: FoundBad,
    ) -> None:  # fmt: skip
        self._driving = driving
        self._stage = stage
        self._tasks = {t.number: t for t in tasks}
        self._bits = bits
        self._fused = fused
        self._generations = generations
        self.outcome = StageOutcome(reused=len(known), before=before)
        for number, manifest in known.items():
            self.outcome.results[number] = _from_manifest(manifest, driving.workspace)
        self._specs: dict[int, TaskSpec] = {}
        self._deadlines = Deadlines(driving.task_timeout_s)
        self._unsaved_s = 0.0

    def run(self, inputs: Sequence[ExchangeOutput | str]) -> StageOutcome:
        """Runs what is not done yet.

        Raises
        ------
        RunInterrupted
            After Ctrl-C or SIGTERM, when the tasks that were running have ended; KeyboardInterrupt if none is kept.
        CheckrowError
            The first error of a task.
        """
        driving, started = self._driving, self._driving.clock.monotonic_s()
        driving.listener(
            StageStarted(
                run=driving.run, stage=self._stage.number, name=stage_name(self._stage), tasks=len(self._tasks),
                tasks_reused=self.outcome.reused,
            )
        )  # fmt: skip
        progress = lifecycle.begin(((t.number, t.size_bytes) for t in self._tasks.values()), self.outcome.results)
        if driving.limit is not None:
            # Rows are wanted in order and few: one task at a time, as long as rows are missing.
            progress = lifecycle.StageProgress(tuple(sorted(self._tasks)))
        failure = self._loop(progress, inputs)
        if failure is not None:
            raise self._typed(*failure)
        refused = self._too_many_bad_rows(())
        if refused is not None:
            raise refused
        if driving.interrupts.pending is not None:
            raise driving.interrupts.answer(driving.run if driving.recorded else None)
        self._finished(driving.clock.monotonic_s() - started)
        return self.outcome

    def _loop(
        self, progress: lifecycle.StageProgress, inputs: Sequence[ExchangeOutput | str]
    ) -> tuple[int, BaseException] | None:
        """Runs tasks until none is left, one failed or the caller was asked to stop; returns the first failure."""
        failure: tuple[int, BaseException] | None = None
        clock = self._driving.clock
        while True:
            if self._driving.interrupts.pending is not None or self._enough():
                progress = lifecycle.drain(progress)
            if progress.finished:
                return failure
            progress, chosen = lifecycle.start(progress, self._capacity())
            for number in chosen:
                self._deadlines.begin(number, clock.monotonic_s())
                self._driving.executor.submit(self._spec(number), inputs)
            done = self._driving.executor.next_done(self._deadlines.wait_s(clock.monotonic_s()))
            if done is None:
                for number in self._deadlines.overdue(clock.monotonic_s()):
                    failure = failure or (number, self._timed_out(number))
                    progress = lifecycle.give_up(progress, number)
                continue
            self._deadlines.end(done.task)
            if done.result is None:
                failure = failure or (done.task, done.error or TaskError("a task ended without result or error"))
                progress = lifecycle.give_up(progress, done.task)
                continue
            if done.task not in progress.done:
                self._take(done.result)
            progress = lifecycle.finish(progress, done.task)
            if failure is None and (refused := self._too_many_bad_rows(done.result.failures)) is not None:
                failure = (done.task, refused)
                progress = lifecycle.drain(progress)

    def _too_many_bad_rows(self, newest: Sequence[str]) -> KernelRowError | None:
        """Returns the error when kernels failed on more rows than the run allows, in tasks done before too."""
        policy = self._driving.bad_rows
        allowed = policy.allowed(self._driving.rows_read)
        bad = self.outcome.found_bad().rows
        if allowed is None or bad <= allowed:
            return None
        first = f" The last task began with: {newest[0]}." if newest else ""
        return KernelRowError(
            f"kernels failed on {bad} rows; of {self._driving.rows_read} rows read, {allowed} are allowed "
            f"(max_rows={policy.max_rows}, max_share={policy.max_share}).{first} Nothing was committed"
        )

    def _timed_out(self, number: int) -> TaskTimeout:
        """Gives up a task that runs too long; returns the error."""
        self._deadlines.end(number)
        became = self._driving.executor.abandon(number)
        kernels = ", ".join(repr(k) for k in kernel_names(self._stage))
        cause = f"; the kernel {kernels} may never end" if kernels else ""
        return TaskTimeout(
            f"task {number} of stage {self._stage.number} ({stage_name(self._stage)}) ran for longer than "
            f"Limits(task_timeout_s={self._driving.task_timeout_s:g}) allows{cause}. {became}. Finished tasks are "
            "kept: mend the kernel or raise the limit, and run again"
        )

    def _capacity(self) -> int:
        return 1 if self._driving.limit is not None else self._driving.executor.capacity

    def _enough(self) -> bool:
        limit = self._driving.limit
        return limit is not None and sum(r.accounting.rows_out for r in self.outcome.results.values()) >= limit

    def _spec(self, number: int) -> TaskSpec:
        driving = self._driving
        stage, task = trimmed(self._stage, self._tasks[number])
        exchanges = isinstance(stage.sink, (ExchangeSink, ScatterSink))
        durable = exchanges and (driving.checkpoint_interval_s <= 0 or not driving.executor.shares_memory)
        spec = TaskSpec(
            run=driving.run, stage=stage, task=task, bits=self._bits, fused=self._fused, attempt=driving.new_id()[:8],
            slice_id=self._tasks[number].slice_id(),
            generation=self._generations.get(number, 1), dataset=driving.dataset, fingerprint=driving.fingerprint,
            control=None if driving.workspace is None else str(driving.workspace), durable=durable,
            recorded=driving.recorded, bad_rows=driving.bad_rows.action, instance=driving.instance,
            source_options={} if isinstance(stage.source, ScanSource) else driving.source_options,
        )  # fmt: skip
        self._specs[number] = spec
        return spec

    def _take(self, result: TaskResult) -> None:
        driving = self._driving
        self.outcome.results[result.task] = result
        driving.listener(
            TaskFinished(
                run=driving.run, stage=result.stage, task=result.task, rows_in=result.accounting.rows_in,
                rows_out=result.accounting.rows_out, size_bytes=result.size_bytes, seconds=round(result.seconds, 6),
                durable=result.durable, rows_nulled=result.accounting.rows_nulled,
                rows_quarantined=result.accounting.rows_quarantined, rows_expanded=result.accounting.rows_expanded,
            )
        )  # fmt: skip
        if result.exchange is not None and driving.recorded:
            self._unsaved_s += result.seconds / driving.executor.capacity
            if self._unsaved_s > driving.checkpoint_interval_s:
                self._checkpoint()

    def _checkpoint(self) -> None:
        """Makes all exchange outputs that are only in memory durable: their work would be lost with the process."""
        for number, result in self.outcome.results.items():
            if isinstance(result.exchange, MemoryExchange):
                path = persist_exchange(
                    self._specs[number], result.exchange, result.accounting, result.seconds, result.quarantine
                )
                self.outcome.results[number] = TaskResult(
                    stage=result.stage, task=number, accounting=result.accounting, seconds=result.seconds,
                    size_bytes=result.size_bytes, exchange_path=path, durable=True, quarantine=result.quarantine,
                )  # fmt: skip
        self._unsaved_s = 0.0

    def _finished(self, seconds: float) -> None:
        counts = [r.accounting for r in self.outcome.results.values()]
        self._driving.listener(
            StageFinished(
                run=self._driving.run, stage=self._stage.number, name=stage_name(self._stage),
                rows_in=sum(c.rows_in for c in counts), rows_out=sum(c.rows_out for c in counts),
                rows_filtered=sum(c.rows_filtered for c in counts), rows_pruned=0, seconds=round(seconds, 6),
                rows_nulled=sum(c.rows_nulled for c in counts),
                rows_quarantined=sum(c.rows_quarantined for c in counts),
                rows_expanded=sum(c.rows_expanded for c in counts),
            )
        )  # fmt: skip

    def _typed(self, number: int, error: BaseException) -> BaseException:
        if isinstance(error, CheckrowError):
            return error
        where = f"task {number} of stage {self._stage.number} ({stage_name(self._stage)})"
        if isinstance(error, MemoryError):
            return MemoryLimitError(f"{where} ran out of memory; run with fewer threads or smaller row groups")
        typed = TaskError(f"{where} failed: {type(error).__name__}: {error}")
        typed.__cause__ = error
        return typed


def _from_manifest(manifest: TaskManifest, workspace: Path | None) -> TaskResult:
    path = None
    if manifest.exchange is not None and workspace is not None:
        path = str(PosixStore(workspace).path(manifest.exchange.staged))
    return TaskResult(
        stage=manifest.stage, task=manifest.task, accounting=manifest.accounting, seconds=manifest.seconds,
        size_bytes=sum(f.size_bytes for f in manifest.files), exchange_path=path, files=manifest.files, durable=True,
        quarantine=manifest.quarantine,
    )  # fmt: skip


def tasks_to_json(tasks: Sequence[Task]) -> list[dict[str, object]]:
    """Returns tasks as they are recorded in `stages/<n>.json`."""
    out: list[dict[str, object]] = msgspec.to_builtins(list(tasks))
    return out


def tasks_from_json(found: list[dict[str, object]]) -> tuple[Task, ...]:
    """Returns recorded tasks."""
    return msgspec.convert(found, tuple[Task, ...])

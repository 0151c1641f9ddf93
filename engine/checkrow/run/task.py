"""One task: a stage on a slice, as a top-level function on plain data. Idempotent; several attempts do no harm."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pyarrow as pa

from checkrow.compile.cache import driver_cache
from checkrow.errors import TaskError
from checkrow.expressions import types
from checkrow.expressions.nodes import compared_columns
from checkrow.operators.arrow import from_arrow, to_batch
from checkrow.operators.bad_rows import BadRowKeeper
from checkrow.operators.batch import ROWS, Batch, Origin
from checkrow.operators.column import Columns
from checkrow.operators.exchange import ExchangeOutput, FileExchange, MemoryExchange, write_exchange
from checkrow.operators.groups import GroupCaller
from checkrow.operators.merge import merge_partition
from checkrow.operators.output import StagedFiles
from checkrow.operators.preaggregate import Preaggregation
from checkrow.operators.rows import RowPipeline
from checkrow.operators.scan import SliceReader, slice_ranges
from checkrow.operators.scatter import Scatter
from checkrow.operators.strings import StringTable
from checkrow.plan.bad_rows import FAIL
from checkrow.plan.slices import Piece, Task
from checkrow.plan.source import DataFile
from checkrow.plan.stages import (
    CollectSink,
    Exchanged,
    ExchangeSink,
    GroupSource,
    MergeSource,
    ParquetSink,
    ScanSource,
    ScatterSink,
    Stage,
)
from checkrow.run.decoder import decodes_itself
from checkrow.run.physical import open_source
from checkrow.storage.manifest import Accounting, ExchangeFile, StagedOutput, TaskManifest, put_manifest
from checkrow.storage.store import PosixStore


class TaskSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A task as plain data. `control` is where results are staged and recorded; without it nothing is durable.

    `durable` asks for the exchange as a file with a manifest; output files always are. `recorded` is false where there
    is a workspace but no dataset, as for `collect` on a cluster.
    """

    run: str
    stage: Stage
    task: Task
    bits: int
    fused: bool
    attempt: str
    slice_id: str
    generation: int = 1
    dataset: str = ""
    fingerprint: str = ""
    control: str | None = None
    durable: bool = False
    recorded: bool = True
    bad_rows: str = FAIL


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """What a task left: exactly one of exchange (in memory, or the path of its file), staged files, batches.

    `failures` tells of the first rows on which kernels failed and that did not end the run.
    """

    stage: int
    task: int
    accounting: Accounting
    seconds: float
    size_bytes: int
    exchange: MemoryExchange | None = None
    exchange_path: str | None = None
    files: tuple[StagedOutput, ...] = ()
    batches: tuple[pa.RecordBatch, ...] = ()
    durable: bool = False
    failures: tuple[str, ...] = ()


def run_task(spec: TaskSpec, inputs: Sequence[ExchangeOutput | str]) -> TaskResult:
    """Runs a task.

    Parameters
    ----------
    spec : TaskSpec
    inputs : sequence of ExchangeOutput or str
        For a merging stage, the outputs of all tasks of the stage before, in task order; text is the path of a file.
    """
    started = time.perf_counter()
    work = _Work(spec, [FileExchange(Path(i)) if isinstance(i, str) else i for i in inputs])
    sink = spec.stage.sink
    if isinstance(sink, ExchangeSink):
        return work.exchange(work.aggregated(sink), started)
    if isinstance(sink, ScatterSink):
        return work.exchange(work.scattered(sink), started)
    if isinstance(sink, ParquetSink):
        return work.write(sink, started)
    return work.collect(sink, started)


class _Work:
    """The steps of a task that its three kinds of sink share."""

    def __init__(self, spec: TaskSpec, inputs: Sequence[ExchangeOutput]) -> None:
        self.spec = spec
        self.inputs = inputs
        self.rows_in = 0
        self.rows_merged_away = 0
        self.rows_filtered = 0
        self.tables: dict[str, StringTable] = {}
        self.keeper = BadRowKeeper(spec.bad_rows)

    # -- sinks --------------------------------------------------------------------------------------------------------

    def aggregated(self, sink: ExchangeSink) -> MemoryExchange:
        """Pre-aggregates the slice, if that pays, and scatters it by key."""
        stage = self.spec.stage
        batches = self._batches(_coded(stage))
        slice_ = Preaggregation(
            stage.predicates, sink.aggregation, self._ranges(), self.tables, driver_cache(), self.keeper,
            bits=self.spec.bits, fused=self.spec.fused,
        )  # fmt: skip
        for batch in batches:
            slice_.consume(batch)
        self.rows_filtered = self.rows_in - self.rows_merged_away - slice_.rows_kept
        return slice_.finish()

    def scattered(self, sink: ScatterSink) -> MemoryExchange:
        """Scatters the slice's rows by key, with the columns the next stage's kernel needs."""
        stage, columns = self.spec.stage, sink.grouping.columns()
        pipeline = RowPipeline(stage.predicates, columns, driver_cache(), self.keeper, fused=self.spec.fused)
        names, dtypes = tuple(n for n, _ in columns), tuple(node.dtype for _, node in columns)
        rows = Scatter(len(sink.grouping.keys), self.spec.bits)
        for batch in self._batches(()):
            arrow = pipeline.run(batch)
            kept = tuple(from_arrow(arrow.column(j), d) for j, d in enumerate(dtypes))
            rows.add(Columns(names, kept, arrow.num_rows))
        output = rows.finish(names, dtypes)
        self.rows_filtered = self.rows_in - self.rows_merged_away - output.columns.rows
        return output

    def exchange(self, output: MemoryExchange, started: float) -> TaskResult:
        """Keeps or persists what goes to the next stage."""
        stage, task = self.spec.stage, self.spec.task
        accounting = Accounting(
            rows_in=self.rows_in, rows_out=output.columns.rows, rows_filtered=self.rows_filtered,
            rows_nulled=self.keeper.count,
        )  # fmt: skip
        seconds = time.perf_counter() - started
        if not self.spec.durable:
            return TaskResult(
                stage=stage.number, task=task.number, accounting=accounting, seconds=seconds,
                size_bytes=output.columns.size_bytes, exchange=output, failures=self.keeper.first(),
            )  # fmt: skip
        path = persist_exchange(self.spec, output, accounting, seconds)
        return TaskResult(
            stage=stage.number, task=task.number, accounting=accounting, seconds=time.perf_counter() - started,
            size_bytes=output.columns.size_bytes, exchange_path=path, durable=True,
            failures=self.keeper.first(),
        )  # fmt: skip

    def write(self, sink: ParquetSink, started: float) -> TaskResult:
        """Writes the stage's rows as staged files and records them."""
        spec = self.spec
        if spec.control is None:
            raise TaskError("a writing task needs a control root")
        prefix = f"runs/{spec.run}/staging/{spec.stage.number:03d}-{spec.task.number:06d}-{spec.attempt}"
        name = f"part-{spec.run[:8]}-{spec.stage.number:03d}-{spec.task.number:06d}"
        staged = StagedFiles(
            PosixStore(Path(spec.control)), prefix, name, sink, spec.stage.output_schema(), spec.dataset
        )
        for batch in self._rows():
            staged.write(batch)
        files = staged.finish()
        accounting = self._row_wise(staged.rows)
        manifest = record_manifest(spec, accounting, time.perf_counter() - started, files=files)
        return TaskResult(
            stage=spec.stage.number, task=spec.task.number, accounting=manifest.accounting,
            seconds=time.perf_counter() - started, size_bytes=sum(f.size_bytes for f in manifest.files),
            files=manifest.files, durable=True, failures=self.keeper.first(),
        )  # fmt: skip

    def collect(self, sink: CollectSink, started: float) -> TaskResult:
        """Returns the stage's rows; with a limit, no more than it."""
        batches: list[pa.RecordBatch] = []
        rows = 0
        for batch in self._rows():
            if sink.limit is not None and rows + batch.num_rows >= sink.limit:
                batches.append(batch.slice(0, sink.limit - rows))
                rows = sink.limit
                break
            batches.append(batch)
            rows += batch.num_rows
        return TaskResult(
            stage=self.spec.stage.number, task=self.spec.task.number, accounting=self._row_wise(rows),
            seconds=time.perf_counter() - started, size_bytes=sum(b.nbytes for b in batches), batches=tuple(batches),
            failures=self.keeper.first(),
        )  # fmt: skip

    def _row_wise(self, rows_out: int) -> Accounting:
        filtered = self.rows_in - self.rows_merged_away - rows_out
        nulled = self.keeper.count
        return Accounting(rows_in=self.rows_in, rows_out=rows_out, rows_filtered=filtered, rows_nulled=nulled)

    # -- sources ------------------------------------------------------------------------------------------------------

    def _rows(self) -> Iterator[pa.RecordBatch]:
        stage = self.spec.stage
        pipeline = RowPipeline(stage.predicates, stage.outputs, driver_cache(), self.keeper, fused=self.spec.fused)
        for batch in self._batches(()):
            yield pipeline.run(batch)

    def _batches(self, coded: tuple[str, ...]) -> Iterator[Batch]:
        source = self.spec.stage.source
        if isinstance(source, Exchanged):
            self.tables = {name: StringTable() for name in coded}
            return self._exchanged(source)
        opener = open_source(source.source.storage_options)
        own = decodes_itself(self.spec.task.size_bytes)
        reader = SliceReader(source.source.files, source.columns, coded, opener, own=own)
        self.tables = reader.tables
        return self._counted(reader.batches(self.spec.task.pieces))

    def _counted(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        for batch in batches:
            self.rows_in += batch.rows
            yield batch

    def _ranges(self) -> dict[str, tuple[int, int]]:
        source = self.spec.stage.source
        return slice_ranges(source.source.files, self.spec.task.pieces) if isinstance(source, ScanSource) else {}

    def _exchanged(self, source: MergeSource | GroupSource) -> Iterator[Batch]:
        """Yields what comes of this task's partitions, each gathered from all slices."""
        schema = source.schema()
        dtypes = {f.name: f.dtype for f in schema}
        held = [i.partition_rows for i in self.inputs]
        combine = _combiner(source, self.keeper)
        for number in range(self.spec.task.first, self.spec.task.last):
            if source.keys and not any(rows[number] for rows in held):
                continue
            parts = [i.partition(number) for i in self.inputs]
            rows = sum(p.rows for p in parts)
            self.rows_in += rows
            self.rows_merged_away += rows
            first = 0
            for columns in combine(parts):
                self.rows_merged_away -= columns.rows
                whole = to_batch(columns, schema)
                for start in range(0, whole.num_rows, ROWS):
                    yield Batch(
                        whole.slice(start, ROWS), self.tables, dtypes, Origin(f"partition {number}"), first + start
                    )
                first += whole.num_rows


def _combiner(
    source: MergeSource | GroupSource, keeper: BadRowKeeper
) -> Callable[[Sequence[Columns]], Iterable[Columns]]:
    """Returns what makes the rows of a partition from its parts, slice by slice."""
    if isinstance(source, GroupSource):
        return GroupCaller(source.grouping, driver_cache(), keeper).run
    return lambda parts: (merge_partition(source.aggregation, parts, driver_cache()),)


def _coded(stage: Stage) -> tuple[str, ...]:
    """Returns the text columns that arrive as codes: bare group keys, and those that conditions compare."""
    if not isinstance(stage.sink, ExchangeSink):
        return ()
    bare = [k.name for k in stage.sink.aggregation.all_keys() if k.op == "col" and types.is_text(k.dtype)]
    if isinstance(stage.source, Exchanged):
        return tuple(dict.fromkeys(bare))
    wanted = {*bare, *compared_columns(*stage.predicates)}
    return tuple(f.name for f in stage.source.columns if f.name in wanted and types.is_text(f.dtype))


def persist_exchange(spec: TaskSpec, output: MemoryExchange, accounting: Accounting, seconds: float) -> str:
    """Writes an exchange output as a durable file, records it, and returns the path of the file that counts."""
    if spec.control is None:
        raise TaskError("a durable exchange needs a place to stand")
    store = PosixStore(Path(spec.control))
    key = f"runs/{spec.run}/exchange/{spec.stage.number:03d}-{spec.task.number:06d}-{spec.attempt}"
    with store.stage(key) as staged:
        write_exchange(staged.path, output)
    file = ExchangeFile(staged=key, size_bytes=staged.size_bytes, sha256=staged.sha256, rows=output.columns.rows)
    if not spec.recorded:
        return str(store.path(key))
    manifest = record_manifest(spec, accounting, seconds, exchange=file)
    counted = manifest.exchange
    if counted is None:
        raise TaskError(f"the manifest of stage {spec.stage.number} task {spec.task.number} names no exchange file")
    return str(store.path(counted.staged))


def record_manifest(
    spec: TaskSpec,
    accounting: Accounting,
    seconds: float,
    *,
    files: tuple[StagedOutput, ...] = (),
    exchange: ExchangeFile | None = None,
) -> TaskManifest:
    """Records that a task is complete; returns the manifest that counts."""
    store = PosixStore(Path(spec.control or ""))
    manifest = TaskManifest(
        dataset=spec.dataset, run=spec.run, stage=spec.stage.number, task=spec.task.number, attempt=spec.attempt,
        generation=spec.generation, slice_id=spec.slice_id, fingerprint=spec.fingerprint, files=files,
        exchange=exchange, accounting=accounting, seconds=round(seconds, 6), host=platform.node(), pid=os.getpid(),
    )  # fmt: skip
    return put_manifest(store, manifest)


def trimmed(stage: Stage, task: Task) -> tuple[Stage, Task]:
    """Returns a scan stage with only the files a task reads, so that a task's data does not grow with the dataset."""
    if not isinstance(stage.source, ScanSource):
        return stage, task
    used = sorted({p.file for p in task.pieces})
    place = {old: new for new, old in enumerate(used)}
    files: tuple[DataFile, ...] = tuple(stage.source.source.files[i] for i in used)
    source = msgspec.structs.replace(stage.source.source, files=files)
    pieces = tuple(Piece(place[p.file], p.start, p.stop) for p in task.pieces)
    return (
        msgspec.structs.replace(stage, source=msgspec.structs.replace(stage.source, source=source)),
        msgspec.structs.replace(task, pieces=pieces),
    )

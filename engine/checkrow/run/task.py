"""One task: a stage on a slice, as a top-level function on plain data. Idempotent; several attempts do no harm."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from checkrow.compile.cache import driver_cache
from checkrow.errors import TaskError
from checkrow.expressions import types
from checkrow.expressions.nodes import Node, compared_columns, walk
from checkrow.operators.arrow import from_arrow, to_batch
from checkrow.operators.bad_rows import BadRowKeeper
from checkrow.operators.batch import ROWS, Batch, Origin
from checkrow.operators.column import Columns
from checkrow.operators.exchange import ExchangeOutput, FileExchange, MemoryExchange
from checkrow.operators.expansions import Expansions
from checkrow.operators.groups import GroupCaller
from checkrow.operators.merge import merge_partition
from checkrow.operators.output import StagedFiles
from checkrow.operators.preaggregate import Preaggregation
from checkrow.operators.rows import RowPipeline
from checkrow.operators.scan import SliceReader, slice_ranges
from checkrow.operators.scatter import Scatter
from checkrow.operators.strings import StringTable
from checkrow.plan.groups import ORIGIN, origin_of
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
from checkrow.run.quarantine import quarantine_of
from checkrow.run.recording import persist_exchange, record_manifest
from checkrow.run.spec import TaskResult, TaskSpec
from checkrow.storage.manifest import Accounting, StagedOutput
from checkrow.storage.store import PosixStore

Combine = Callable[[Sequence[Columns]], Iterable[Columns]]
"""Makes the rows of a partition from its parts, slice by slice."""


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
        self.rows_read_last = 0
        self.rows_merged_away = 0
        self.rows_filtered = 0
        self.tables: dict[str, StringTable] = {}
        self.keeper = BadRowKeeper(spec.bad_rows)
        self.expansions: Expansions | None = None

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
        self._count(slice_.rows_kept)
        return slice_.finish()

    def scattered(self, sink: ScatterSink) -> MemoryExchange:
        """Scatters the slice's rows by key, with the columns the next stage's kernel needs."""
        stage, columns = self.spec.stage, sink.grouping.columns()
        tracks = self.keeper.keeps and isinstance(stage.source, ScanSource)
        if tracks:
            columns = (*columns, (ORIGIN, Node("col", name=ORIGIN, dtype="int64")))
        pipeline = RowPipeline(stage.predicates, columns, driver_cache(), self.keeper, fused=self.spec.fused)
        names, dtypes = tuple(n for n, _ in columns), tuple(node.dtype for _, node in columns)
        rows = Scatter(len(sink.grouping.keys), self.spec.bits)
        for batch in self._batches(()):
            arrow = pipeline.run(self._tracked(batch) if tracks else batch)
            kept = tuple(from_arrow(arrow.column(j), d) for j, d in enumerate(dtypes))
            rows.add(Columns(names, kept, arrow.num_rows))
        output = rows.finish(names, dtypes)
        self._count(output.columns.rows)
        return output

    def _tracked(self, batch: Batch) -> Batch:
        """Returns the rows read last, or made of them, with a column that says where each was read."""
        first = origin_of(self.spec.task.number, self.rows_in - self.rows_read_last)
        return batch.numbered(ORIGIN, first + batch.row_numbers - batch.first_row)

    def _count(self, rows_kept: int) -> None:
        """Notes what became of the rows that did not get through: they were filtered, or have left as bad."""
        bad = self.keeper.count if self.keeper.keeps else 0
        self.rows_filtered = self.rows_in + self.rows_expanded - self.rows_merged_away - rows_kept - bad
        if self.rows_filtered < 0:
            raise TaskError(
                f"{self.rows_in} rows went in and {self.rows_expanded} were added, but {rows_kept} came out; nothing "
                "was recorded"
            )

    @property
    def rows_expanded(self) -> int:
        """Rows that expand kernels added."""
        return self.expansions.rows_added if self.expansions is not None else 0

    def _accounting(self, rows_out: int) -> Accounting:
        bad = self.keeper.count
        return Accounting(
            rows_in=self.rows_in, rows_out=rows_out, rows_filtered=self.rows_filtered,
            rows_expanded=self.rows_expanded,
            rows_nulled=0 if self.keeper.keeps else bad, rows_quarantined=bad if self.keeper.keeps else 0,
        )  # fmt: skip

    def exchange(self, output: MemoryExchange, started: float) -> TaskResult:
        """Keeps or persists what goes to the next stage."""
        stage, task = self.spec.stage, self.spec.task
        accounting, quarantine = self._accounting(output.columns.rows), self._quarantine()
        seconds = time.perf_counter() - started
        if not self.spec.durable:
            return TaskResult(
                stage=stage.number, task=task.number, accounting=accounting, seconds=seconds,
                size_bytes=output.columns.size_bytes, exchange=output, quarantine=quarantine,
                failures=self.keeper.first(),
            )  # fmt: skip
        path = persist_exchange(self.spec, output, accounting, seconds, quarantine)
        return TaskResult(
            stage=stage.number, task=task.number, accounting=accounting, seconds=time.perf_counter() - started,
            size_bytes=output.columns.size_bytes, exchange_path=path, durable=True, quarantine=quarantine,
            failures=self.keeper.first(),
        )  # fmt: skip

    def write(self, sink: ParquetSink, started: float) -> TaskResult:
        """Writes the stage's rows as staged files and records them."""
        spec = self.spec
        if spec.control is None:
            raise TaskError("a writing task needs a control root")
        store, schema = PosixStore(Path(spec.control)), spec.stage.output_schema()
        staged = StagedFiles(store, spec.staging(), spec.file_name("part"), sink, schema, spec.dataset)
        for batch in self._rows():
            staged.write(batch)
        files, quarantine = staged.finish(), self._quarantine()
        self._count(staged.rows)
        seconds = time.perf_counter() - started
        manifest = record_manifest(spec, self._accounting(staged.rows), seconds, files=files, quarantine=quarantine)
        return TaskResult(
            stage=spec.stage.number, task=spec.task.number, accounting=manifest.accounting,
            seconds=time.perf_counter() - started, size_bytes=sum(f.size_bytes for f in manifest.files),
            files=manifest.files, durable=True, quarantine=manifest.quarantine, failures=self.keeper.first(),
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
        self._count(rows)
        return TaskResult(
            stage=self.spec.stage.number, task=self.spec.task.number, accounting=self._accounting(rows),
            seconds=time.perf_counter() - started, size_bytes=sum(b.nbytes for b in batches), batches=tuple(batches),
            failures=self.keeper.first(),
        )  # fmt: skip

    def _quarantine(self) -> tuple[StagedOutput, ...]:
        """Stages the rows that left because a kernel failed on them."""
        spec = self.spec
        if not self.keeper.keeps or not self.keeper.count:
            return ()
        if spec.control is None:
            raise TaskError("a quarantine needs a control root")
        store = PosixStore(Path(spec.control))
        rows = quarantine_of(spec.stage, spec.source_options, store, run=spec.run, instance=spec.instance)
        prefix, sink = f"{spec.staging()}/quarantine", ParquetSink(url="")
        staged = StagedFiles(store, prefix, spec.file_name("rows"), sink, rows.schema, spec.dataset)
        for batch in rows.batches(self.keeper.rows):
            staged.write(batch)
        if staged.rows != self.keeper.count:
            raise TaskError(f"{self.keeper.count} rows failed but {staged.rows} reached the quarantine")
        return staged.finish()

    # -- sources ------------------------------------------------------------------------------------------------------

    def _rows(self) -> Iterator[pa.RecordBatch]:
        stage = self.spec.stage
        pipeline = RowPipeline(stage.predicates, stage.outputs, driver_cache(), self.keeper, fused=self.spec.fused)
        for batch in self._batches(()):
            yield pipeline.run(batch)

    def _batches(self, coded: tuple[str, ...]) -> Iterator[Batch]:
        """Yields the rows that predicates and sink work on; text columns in `coded` arrive as codes."""
        stage = self.spec.stage
        if not stage.expansions:
            batches, self.tables = self._read(coded)
            return batches
        batches, _ = self._read(())
        self.tables = {name: StringTable() for name in coded}
        called = tuple(n for n in stage.nodes_above() if any(below.op == "kernel" for below in walk(n)))
        self.expansions = Expansions(
            stage.expansions, stage.predicates, called, self.tables, driver_cache(), self.keeper, fused=self.spec.fused
        )  # fmt: skip
        return itertools.chain.from_iterable(map(self.expansions.run, batches))

    def _read(self, coded: tuple[str, ...]) -> tuple[Iterator[Batch], dict[str, StringTable]]:
        """Returns the rows of the task's source, and the string tables of columns that arrive as codes."""
        source = self.spec.stage.source
        if isinstance(source, Exchanged):
            tables = {name: StringTable() for name in coded}
            return self._exchanged(source, tables), tables
        opener = open_source(source.source.storage_options)
        own = decodes_itself(self.spec.task.size_bytes)
        reader = SliceReader(source.source.files, source.columns, coded, opener, own=own)
        return self._counted(reader.batches(self.spec.task.pieces)), reader.tables

    def _counted(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        for batch in batches:
            self.rows_in += batch.rows
            self.rows_read_last = batch.rows
            yield batch

    def _ranges(self) -> dict[str, tuple[int, int]]:
        """Returns what statistics say of the columns that the sink works on: nothing of those that kernels made."""
        source = self.spec.stage.source
        if self.spec.stage.expansions or not isinstance(source, ScanSource):
            return {}
        return slice_ranges(source.source.files, self.spec.task.pieces)

    def _exchanged(self, source: MergeSource | GroupSource, tables: dict[str, StringTable]) -> Iterator[Batch]:
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
            for columns in self._combined(combine, parts):
                self.rows_merged_away -= columns.rows
                whole = to_batch(columns, schema)
                for start in range(0, whole.num_rows, ROWS):
                    batch = Batch(
                        whole.slice(start, ROWS), tables, dtypes, Origin(f"partition {number}"), first + start
                    )
                    yield batch
                    self.keeper.tell(batch)
                first += whole.num_rows

    def _combined(self, combine: Combine, parts: Sequence[Columns]) -> Iterator[Columns]:
        """Yields the rows of a partition; groups that leave as bad are not merged away."""
        pieces = iter(combine(parts))
        while True:
            bad = self.keeper.count
            columns = next(pieces, None)
            if self.keeper.keeps:
                self.rows_merged_away -= self.keeper.count - bad
            if columns is None:
                return
            yield columns


def _combiner(source: MergeSource | GroupSource, keeper: BadRowKeeper) -> Combine:
    """Returns what makes the rows of a partition from its parts, slice by slice."""
    if isinstance(source, GroupSource):
        return GroupCaller(source.grouping, driver_cache(), keeper).run
    return lambda parts: (merge_partition(source.aggregation, [p.widened() for p in parts], driver_cache()),)


def _coded(stage: Stage) -> tuple[str, ...]:
    """Returns the text columns that arrive as codes: bare group keys, and those that conditions compare."""
    if not isinstance(stage.sink, ExchangeSink):
        return ()
    bare = [k.name for k in stage.sink.aggregation.all_keys() if k.op == "col" and types.is_text(k.dtype)]
    if stage.expansions or isinstance(stage.source, Exchanged):
        return tuple(dict.fromkeys(bare))
    wanted = {*bare, *compared_columns(*stage.predicates)}
    return tuple(f.name for f in stage.source.columns if f.name in wanted and types.is_text(f.dtype))

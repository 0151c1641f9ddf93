"""From a logical tree to a physical plan: footers read, row groups pruned, slices cut, fan-out chosen.

Everything decided here is recorded before it is used, and depends on the data and on target sizes only.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec

from checkrow.errors import ConfigError, InputChanged, ResumeMismatch
from checkrow.plan.bad_rows import QUARANTINE, BadRows, planned, quarantine_columns
from checkrow.plan.fingerprint import inputs_fingerprint, plan_fingerprint, recorded
from checkrow.plan.logical import Relation
from checkrow.plan.prune import prune
from checkrow.plan.slices import Task, partition_bits, scan_tasks
from checkrow.plan.source import ColumnRange, DataFile, RowGroup
from checkrow.plan.stages import (
    CollectSink,
    ExchangeSink,
    ParquetSink,
    ScanSource,
    ScatterSink,
    Stage,
    check_sink,
    cut,
)
from checkrow.storage.parquet import read_row_groups
from checkrow.storage.runs import RunRecord
from checkrow.storage.store import check_unchanged, open_input

FUSE_ROWS = 2_000_000
"""Rows ahead from which compiling a driver pays; with a user kernel one is compiled anyway."""


class PhysicalPlan(msgspec.Struct, frozen=True, kw_only=True):
    """All that is needed to run, on this machine or another, now or after a crash.

    `tasks` are those of stage 0; later stages' are recorded when the sizes of their input are known. `bits` is the
    fan-out of every stage's exchange (0 for the last stage).
    """

    stages: tuple[Stage, ...]
    tasks: tuple[Task, ...]
    bits: tuple[int, ...]
    fused: tuple[bool, ...]
    rows_total: int
    rows_pruned: int
    fingerprint: str
    inputs_fingerprint: str
    target_bytes: int | None = None
    bad_rows: BadRows = BadRows()


def physical_plan(
    relation: Relation,
    sink: ParquetSink | CollectSink,
    target_bytes: int | None = None,
    bad_rows: BadRows | None = None,
) -> PhysicalPlan:
    """Returns the physical plan of a tree; reads footers of all input files.

    Raises
    ------
    SchemaError, PlanError
        If the tree does not type or the sink does not fit it.
    CorruptInput
        If a file is not readable Parquet.
    """
    policy = bad_rows or BadRows()
    relation = planned(relation, policy)
    stages = cut(relation, sink)
    if isinstance(sink, ParquetSink):
        check_sink(sink, stages[-1].output_schema())
    first = stages[0]
    if not isinstance(first.source, ScanSource):
        raise AssertionError("the first stage scans")
    keeps = policy.action == QUARANTINE
    if keeps and isinstance(sink, CollectSink):
        raise ConfigError("BadRows('quarantine') needs a dataset to commit to; use write_parquet, or BadRows('null')")
    if keeps:
        quarantine_columns(first.source.source.schema)
    files, pruned = prune(read_footers(first), first.source_predicates())
    total = sum(g.rows for f in files for g in f.row_groups) + pruned
    source = msgspec.structs.replace(first.source.source, files=files)
    first = msgspec.structs.replace(first, source=msgspec.structs.replace(first.source, source=source))
    stages = (first, *stages[1:])
    rows = total - pruned
    return PhysicalPlan(
        stages=stages,
        tasks=scan_tasks(files, target_bytes),
        bits=tuple(_bits(s, rows) for s in stages),
        fused=tuple(rows >= FUSE_ROWS or s.has_kernel() for s in stages),
        rows_total=total,
        rows_pruned=pruned,
        fingerprint=plan_fingerprint(relation, sink, *([QUARANTINE] if keeps else [])),
        inputs_fingerprint=inputs_fingerprint(files),
        target_bytes=target_bytes,
        bad_rows=policy,
    )


def recorded_plan(known: RunRecord) -> PhysicalPlan:
    """Returns the plan of an unfinished run; raises ResumeMismatch when this version cannot continue it."""
    try:
        return msgspec.convert(recorded(known.plan), PhysicalPlan)
    except msgspec.ValidationError as error:
        raise ResumeMismatch(
            f"run {known.run} was planned by another version of checkrow ({error}); choose --recompute "
            "(recompute=True) to start over"
        ) from None


def options_of(plan: PhysicalPlan) -> dict[str, str | int | float | bool | None]:
    """Returns the storage options of a plan's source."""
    source = plan.stages[0].source
    return source.source.storage_options if isinstance(source, ScanSource) else {}


def with_options(plan: PhysicalPlan, options: dict[str, str | int | float | bool | None]) -> PhysicalPlan:
    """Returns a plan whose source is opened with other storage options."""
    first = plan.stages[0]
    if not isinstance(first.source, ScanSource):
        return plan
    source = msgspec.structs.replace(first.source.source, storage_options=options)
    first = msgspec.structs.replace(first, source=msgspec.structs.replace(first.source, source=source))
    return msgspec.structs.replace(plan, stages=(first, *plan.stages[1:]))


def _bits(stage: Stage, rows: int) -> int:
    keyed = isinstance(stage.sink, (ExchangeSink, ScatterSink)) and bool(stage.sink.keys)
    return partition_bits(rows) if keyed else 0


def read_footers(stage: Stage) -> tuple[DataFile, ...]:
    """Returns a scan stage's files with their row groups: sizes of the columns read, ranges of all of them."""
    if not isinstance(stage.source, ScanSource):
        raise AssertionError("only scans have footers")
    source = stage.source.source
    names = tuple(f.name for f in stage.source.columns)
    dtypes = {f.name: f.dtype for f in stage.source.columns}

    def read(file: DataFile) -> DataFile:
        opener = open_source(source.storage_options)
        stored = tuple(n for n in names if n not in file.partition)  # a directory's value counts, not the file's column
        groups = read_row_groups(opener(file), file.path, stored, stored, dtypes)
        known = {n: ColumnRange(v, v) for n, v in file.partition.items() if v is not None and dtypes.get(n) == "string"}

        def with_known(group: RowGroup) -> RowGroup:
            return msgspec.structs.replace(group, ranges={**group.ranges, **known})

        return msgspec.structs.replace(file, row_groups=tuple(with_known(g) for g in groups))

    with ThreadPoolExecutor(8) as pool:
        return tuple(pool.map(read, source.files))


def open_source(options: dict[str, str | int | float | bool | None]) -> Callable[[DataFile], object]:
    """Returns the opener of a source's files, which refuses one that is not as it was planned."""

    def opener(file: DataFile) -> object:
        check_unchanged(file.url, options, file.version)
        try:
            return open_input(file.url, options)
        except FileNotFoundError:
            raise InputChanged(
                f"the source file {file.url} was removed while the run needed it; restore it, or run again with "
                "--recompute (recompute=True) to read what is there now"
            ) from None

    return opener

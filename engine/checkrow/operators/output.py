"""A task's output: rows become staged Parquet files, one directory per value of the partition columns.

Nothing written here is visible to readers: files are staged, made durable and named by the task's manifest; the commit
reveals them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
import pyarrow as pa

from checkrow.errors import SchemaError
from checkrow.expressions import types
from checkrow.expressions.types import Schema
from checkrow.lazily import compute as pc
from checkrow.plan.stages import ParquetSink
from checkrow.storage.hive import partition_path
from checkrow.storage.manifest import StagedOutput
from checkrow.storage.parquet import ParquetWriter
from checkrow.storage.store import Store

Values = tuple[tuple[str, str | None], ...]


class StagedFiles:
    """Collects rows per output partition and stages them as files.

    Parameters
    ----------
    store : Store
        The control root's store.
    prefix : str
        Key below which files are staged; unique per attempt.
    name : str
        Stem of the final names, unique per run, stage and task.
    """

    def __init__(self, store: Store, prefix: str, name: str, sink: ParquetSink, schema: Schema, dataset: str) -> None:
        self._store = store
        self._prefix = prefix
        self._name = name
        self._sink = sink
        self._dataset = dataset
        self._schema = types.arrow_schema(tuple(f for f in schema if f.name not in sink.partition_by))
        self._pending: dict[Values, list[pa.RecordBatch]] = {}
        self.rows = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Adds rows."""
        if not batch.num_rows:
            return
        self.rows += batch.num_rows
        for values, part in split(batch, self._sink.partition_by):
            self._pending.setdefault(values, []).append(part)

    def finish(self) -> tuple[StagedOutput, ...]:
        """Writes and stages all files; returns them in the order of their partition values."""
        out: list[StagedOutput] = []
        for values in sorted(self._pending, key=lambda v: [(x is None, x or "") for _, x in v]):
            out.extend(self._partition(values, self._pending.pop(values), len(out)))
        return tuple(out)

    def _partition(self, values: Values, batches: list[pa.RecordBatch], first: int) -> Iterator[StagedOutput]:
        directory = partition_path(dict(values)) if values else ""
        for number, group in enumerate(_cut(batches, self._sink.target_file_bytes)):
            file = f"{self._name}-{first + number:05d}.parquet"
            key = f"{self._prefix}/{first + number:05d}"
            with ExitStack() as stack:
                staged = stack.enter_context(self._store.stage(key))
                writer = ParquetWriter(staged.path, self._schema, self._dataset, self._sink.compression)
                stack.callback(writer.close)
                for batch in group:
                    writer.write(batch)
            yield StagedOutput(
                path=f"{directory}/{file}" if directory else file,
                staged=key,
                rows=writer.rows,
                size_bytes=staged.size_bytes,
                sha256=staged.sha256,
                partition=dict(values),
            )


def _cut(batches: list[pa.RecordBatch], target_bytes: int) -> Iterator[list[pa.RecordBatch]]:
    """Yields batches in groups of about `target_bytes` in memory."""
    group: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        if group and size + batch.nbytes > target_bytes:
            yield group
            group, size = [], 0
        group.append(batch)
        size += batch.nbytes
    if group:
        yield group


def split(batch: pa.RecordBatch, partition_by: tuple[str, ...]) -> Iterator[tuple[Values, pa.RecordBatch]]:
    """Yields (partition values as text, rows without the partition columns); row order within a partition is kept."""
    if not partition_by:
        yield (), batch
        return
    keys = [batch.column(name) for name in partition_by]
    codes = np.zeros(batch.num_rows, np.int64)
    texts: list[list[str | None]] = []
    for key in keys:
        coded = key.dictionary_encode(null_encoding="encode")
        distinct = [_as_text(v) for v in coded.dictionary]
        texts.append(distinct)
        codes = codes * len(distinct) + coded.indices.to_numpy(zero_copy_only=False)
    order = np.argsort(codes, kind="stable")
    sorted_codes = codes[order]
    edges = np.flatnonzero(np.diff(sorted_codes)) + 1
    rest = batch.drop_columns(list(partition_by)).take(pa.array(order))
    for start, stop in zip([0, *edges], [*edges, len(codes)], strict=True):
        yield _decode(int(sorted_codes[start]), partition_by, texts), rest.slice(start, stop - start)


def _decode(code: int, names: tuple[str, ...], texts: list[list[str | None]]) -> Values:
    out = []
    for name, distinct in zip(reversed(names), reversed(texts), strict=True):
        code, index = divmod(code, len(distinct))
        out.append((name, distinct[index]))
    return tuple(reversed(out))


def _as_text(value: pa.Scalar) -> str | None:
    """Returns a partition value as it stands in a directory name."""
    if not value.is_valid:
        return None
    if pa.types.is_floating(value.type):
        raise SchemaError(f"partition_by column of type {value.type}: floats have no exact text; cast it first")
    text = pc.cast(value, pa.string()).as_py()
    return str(text)

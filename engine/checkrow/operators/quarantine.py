"""Quarantined rows as they are written: the row as its file has it, where that was, and why it failed.

Rows of groups come back through their origin (see `checkrow.plan.groups`). A row that stands in no file, because an
aggregate or a kernel made it, is told by its values as JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from checkrow.expressions import types
from checkrow.expressions.types import UNSUPPORTED, Schema
from checkrow.operators.bad_rows import BadRow
from checkrow.operators.described import described
from checkrow.operators.scan import Opener, SliceReader
from checkrow.plan.bad_rows import quarantine_columns
from checkrow.plan.groups import places_of
from checkrow.plan.slices import Piece, Task
from checkrow.plan.source import DataFile, Source
from checkrow.storage.parquet import read_columns

Array = NDArray[np.int64]


class Quarantine:
    """Makes the quarantine's rows of one task.

    Parameters
    ----------
    source : Source
        What the first stage reads, with the files that bad rows refer to by number.
    tasks : sequence of Task
        The tasks of the first stage, which origins refer to.
    opener : callable
        Opens a source file; raises InputChanged when it is not the planned one.
    run, instance : str
        Stand in every row.
    """

    def __init__(self, source: Source, tasks: Sequence[Task], opener: Opener, *, run: str, instance: str) -> None:
        self._source = source
        self._tasks = tasks
        self._opener = opener
        self._run = run
        self._instance = instance
        self.schema: Schema = quarantine_columns(source.schema)
        self._arrow = types.arrow_schema(self.schema)

    def batches(self, bad: Sequence[BadRow]) -> Iterator[pa.RecordBatch]:
        """Yields all rows that failed: those of files in the order of the files, then the others as they were found.

        Raises
        ------
        InputChanged
            If a source file is not what was read before.
        """
        places, reasons = self._located(bad)
        edges = np.flatnonzero(np.any(np.diff(places[:, :2], axis=0) != 0, axis=1)) + 1
        for part, why in zip(np.split(places, edges), np.split(reasons, edges), strict=True):
            if len(part):
                yield from self._from_file(part, [bad[i] for i in why])
        made = [(b, values) for b in bad for values in b.values]
        if made:
            columns = {"_values": pa.array([values for _, values in made], pa.string())}
            yield self._batch(columns, [b for b, _ in made])

    def _located(self, bad: Sequence[BadRow]) -> tuple[Array, Array]:
        """Returns (file, row group, row) of all rows that stand in files, in that order, and which failure each is."""
        parts = [np.empty((0, 3), np.int64)]
        reasons = [np.empty(0, np.int64)]
        for number, b in enumerate(bad):
            if b.origins is not None:
                found = self._places(b.origins)
            elif b.origin.file is not None and b.origin.row_group is not None:
                found = np.array([[b.origin.file, b.origin.row_group, b.row]], np.int64)
            else:
                continue
            parts.append(found)
            reasons.append(np.full(len(found), number))
        places, which = np.concatenate(parts), np.concatenate(reasons)
        order = np.lexsort((which, places[:, 2], places[:, 1], places[:, 0]))
        return places[order], which[order]

    def _places(self, origins: Array) -> Array:
        """Returns (file, row group, row) of rows that were tracked through an exchange."""
        tasks, rows = places_of(origins)
        out = np.empty((len(origins), 3), np.int64)
        for task in np.unique(tasks).tolist():
            here = tasks == task
            groups = [(p.file, g) for p in self._tasks[task].pieces for g in range(p.start, p.stop)]
            sizes = [self._source.files[f].row_groups[g].rows for f, g in groups]
            starts = np.concatenate([[0], np.cumsum(sizes)])
            which = np.searchsorted(starts, rows[here], side="right") - 1
            out[here, :2] = np.array(groups, np.int64)[which]
            out[here, 2] = rows[here] - starts[which]
        return out

    def _from_file(self, places: Array, why: list[BadRow]) -> Iterator[pa.RecordBatch]:
        """Yields rows of one row group; `places` are in order."""
        number, row_group = int(places[0, 0]), int(places[0, 1])
        file, rows = self._source.files[number], places[:, 2]
        nested = self._nested(file, row_group)
        first = 0
        for batch in self._reader().batches((Piece(number, row_group, row_group + 1),)):
            start, stop = np.searchsorted(rows, [first, first + batch.rows]).tolist()
            first += batch.rows
            if start == stop:
                continue
            chosen = rows[start:stop]
            typed = batch.arrow.take(pa.array(chosen - (first - batch.rows)))
            columns = {n: _plain(typed.column(n)) for n in typed.schema.names}
            columns["_source_file"] = pa.repeat(file.url, len(chosen))
            columns["_row_group"] = pa.repeat(pa.scalar(row_group, pa.int64()), len(chosen))
            columns["_row_index"] = pa.array(chosen)
            if nested is not None:
                columns["_values"] = pa.array(described(nested.take(pa.array(chosen))), pa.string())
            yield self._batch(columns, why[start:stop])

    def _reader(self) -> SliceReader:
        fields = tuple(f for f in self._source.schema if not f.dtype.startswith(UNSUPPORTED))
        return SliceReader(self._source.files, fields, (), self._opener, own=False)

    def _nested(self, file: DataFile, row_group: int) -> pa.Table | None:
        """Returns the columns that have no type here, which are told as JSON."""
        names = [f.name for f in self._source.schema if f.dtype.startswith(UNSUPPORTED)]
        return read_columns(self._opener(file), file.path, row_group, names) if names else None

    def _batch(self, columns: dict[str, Any], bad: Sequence[BadRow]) -> pa.RecordBatch:
        """Returns rows with their reasons; columns that are not given are null."""
        rows = len(bad)
        told = {
            "_kernel": pa.array([b.kernel for b in bad], pa.string()),
            "_error": pa.array([b.error for b in bad], pa.string()),
            "_message": pa.array([_message(b) for b in bad], pa.string()),
            "_run": pa.repeat(self._run, rows), "_instance": pa.repeat(self._instance, rows),
        }  # fmt: skip
        given = {**columns, **told}
        arrays = [given[f.name].cast(f.type) if f.name in given else pa.nulls(rows, f.type) for f in self._arrow]
        return pa.RecordBatch.from_arrays(arrays, schema=self._arrow)


def _message(bad: BadRow) -> str:
    """Returns what happened; for a row that is told apart by its group, which one."""
    return bad.message if bad.origin.file is not None else f"{bad.place}: {bad.message}"


def _plain(array: pa.Array) -> pa.Array:
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array

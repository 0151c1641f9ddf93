"""Random tables on their way into the engine: how they are cut into files, row groups, tasks and batches."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

import checkrow as cr
from checkrow.operators.batch import Batch

BATCHES = [1, 2, 3, 7, 64, 1_000, 131_072]
TEXTS = [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]


def scanned(data: st.DataObject, monkeypatch: Any, table: pa.Table, place: str = "t") -> cr.Dataset:
    """Draws how a table is stored and read; returns the scan of its one to three files."""
    draw, rows = data.draw, table.num_rows
    monkeypatch.setattr("checkrow.plan.slices.PARTITION_ROWS", draw(st.sampled_from([1, 7, 1 << 18])))
    monkeypatch.setattr("checkrow.plan.slices.FLOOR_BYTES", draw(st.sampled_from([1, 4 << 20])))
    monkeypatch.setattr("checkrow.storage.parquet.ROWS", draw(st.sampled_from(BATCHES)))
    monkeypatch.setattr("checkrow.run.task.ROWS", draw(st.sampled_from(BATCHES)))
    monkeypatch.setattr("checkrow.operators.groups._CAPACITY", draw(st.sampled_from([1, 5, 131_072])))
    monkeypatch.setattr("checkrow.operators.scan.Batch", _Shifted(draw(st.integers(0, 9))))
    shutil.rmtree(place, ignore_errors=True)
    Path(place).mkdir()
    stored = _stored(table, draw(st.sampled_from(TEXTS)))
    ends = [0, *sorted(draw(st.lists(st.integers(0, rows), max_size=2))), rows]
    for number, (first, last) in enumerate(pairwise(ends)):
        size = draw(st.sampled_from([1, 10, 1000]))
        pq.write_table(stored.slice(first, last - first), f"{place}/{number}.parquet", row_group_size=size)
    return cr.scan(place)


def threads(data: st.DataObject) -> cr.Limits:
    """Draws how many threads run."""
    return cr.Limits(threads=data.draw(st.integers(1, 4)))


def _stored(table: pa.Table, text: pa.DataType) -> pa.Table:
    """Returns a table with its text in one of the forms that Arrow has for it."""
    for j, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            column = table.column(j)
            changed = column.dictionary_encode() if pa.types.is_dictionary(text) else column.cast(text)
            table = table.set_column(j, field.name, changed)
    return table


class _Shifted:
    """Makes batches whose Arrow arrays begin in the midst of their buffers, so many rows in."""

    def __init__(self, offset: int) -> None:
        self._offset = offset

    def __call__(self, raw: pa.RecordBatch, *args: Any, **kwargs: Any) -> Batch:
        if self._offset and raw.num_rows and raw.num_columns:
            arrays = [pa.concat_arrays([a.slice(0, 1)] * self._offset + [a]).slice(self._offset) for a in raw.columns]
            raw = pa.RecordBatch.from_arrays(arrays, names=raw.schema.names)
        return Batch(raw, *args, **kwargs)

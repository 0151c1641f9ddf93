"""Rows to partitions: batches are collected, counted by the hash of their keys, and written once where they belong."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkrow.buffers import empty, frozen, lasting
from checkrow.expressions import types
from checkrow.expressions.bounds import Interval
from checkrow.operators.column import Column, Columns
from checkrow.operators.exchange import MemoryExchange
from checkrow.operators.keys import hash_keys
from checkrow_kernels.scatter import (
    count_partitions,
    partition_of,
    place,
    place_above,
    place_bytes,
    place_lengths,
    place_pairs,
    positions,
)  # fmt: skip

Array = NDArray[Any]
NARROW_ROWS = 1 << 14
"""Rows from which on int64 is kept in the narrowest unsigned type that holds what it is above its smallest."""
_NARROW = ((2**8 - 1, np.uint8), (2**16 - 1, np.uint16), (2**32 - 1, np.uint32))
_NOTHING = (2**63 - 1, -(2**63))


class Scatter:
    """Collects the rows of a slice and gives them back grouped by partition, in row order within each.

    Parameters
    ----------
    keys : int
        How many leading columns decide the partition.
    bits : int
        Partitions as a power of two.
    """

    def __init__(self, keys: int, bits: int) -> None:
        self._keys = keys
        self._bits = bits
        self._counts = np.zeros(1 << bits, np.int64)
        self._batches: list[Columns] = []
        self._ranges: list[Interval | None] = []
        self._ids: list[Array] = []

    def add(self, columns: Columns) -> None:
        """Adds rows; text must be spelled out (see `Column.spelled`). Nothing is copied yet."""
        self._batches.append(columns)
        seen = self._ranges or [_NOTHING] * len(columns.columns)
        self._ranges = [_extended(r, c) for r, c in zip(seen, columns.columns, strict=True)]
        if self._bits:
            ids = empty(columns.rows, np.int32)
            partition_of(hash_keys(columns, self._keys), self._bits, ids)
            count_partitions(ids, self._counts)
            self._ids.append(ids)
        else:
            self._counts[0] += columns.rows

    def finish(self, names: tuple[str, ...], dtypes: tuple[str, ...]) -> MemoryExchange:
        """Returns all rows by partition; names and types are needed where no batch came."""
        starts = np.zeros(len(self._counts) + 1, np.int64)
        np.cumsum(self._counts, out=starts[1:])
        if not self._bits and len(self._batches) == 1:
            return MemoryExchange(self._batches[0], starts)
        at = self._positions(starts)
        rows = int(starts[-1])
        ranges = self._ranges if rows >= NARROW_ROWS else [None] * len(dtypes)
        columns = tuple(
            _placed(dtype, [b.columns[j] for b in self._batches], at, rows, ranges[j]) for j, dtype in enumerate(dtypes)
        )
        return MemoryExchange(Columns(names, columns, rows), starts)

    def _positions(self, starts: Array) -> list[Array]:
        cursor = starts[:-1].copy()
        out = []
        first = 0
        for number, batch in enumerate(self._batches):
            if self._bits:
                at = empty(batch.rows, np.int64)
                positions(self._ids[number], cursor, at)
            else:
                at = np.arange(first, first + batch.rows)
            first += batch.rows
            out.append(at)
        return out


def _extended(seen: Interval | None, column: Column) -> Interval | None:
    """Returns the range of a column's values so far, None when they do not fit a narrower type."""
    values = column.values
    if seen is None or values.dtype != np.int64 or types.is_wide(column.dtype):
        return None
    if not len(values):
        return seen
    low, high = min(seen[0], int(values.min())), max(seen[1], int(values.max()))
    return (low, high) if high - low <= _NARROW[-1][0] else None


def _placed(dtype: str, parts: list[Column], at: list[Array], rows: int, seen: Interval | None) -> Column:
    """Returns one column with every part's rows at their positions."""
    valid = None
    if any(p.valid is not None for p in parts):
        valid = np.ones(rows, np.uint8)
        for part, where in zip(parts, at, strict=True):
            if part.valid is not None:
                place(part.valid, where, valid)
    if types.is_text(dtype):
        return _placed_text(dtype, parts, at, rows, valid)
    if seen is not None:
        narrow = lasting(rows, next(kind for most, kind in _NARROW if seen[1] - seen[0] <= most))
        for part, where in zip(parts, at, strict=True):
            place_above(frozen(part.values), where, seen[0], narrow)
        return Column(dtype, narrow, valid, base=seen[0])
    wide = types.is_wide(dtype)
    out = lasting(2 * rows if wide else rows, types.numpy_dtype(dtype))
    for part, where in zip(parts, at, strict=True):
        (place_pairs if wide else place)(frozen(part.values), where, out)
    return Column(dtype, out, valid)


def _placed_text(dtype: str, parts: list[Column], at: list[Array], rows: int, valid: Array | None) -> Column:
    offsets = lasting(rows + 1, np.int64)
    spelled = [(p.offsets, p.values) for p in parts if p.offsets is not None]
    for (starts, _), where in zip(spelled, at, strict=True):
        place_lengths(starts, where, offsets[1:])
    np.cumsum(offsets, out=offsets)
    data = lasting(int(offsets[-1]), np.uint8)
    for (starts, source), where in zip(spelled, at, strict=True):
        place_bytes(starts, source, where, offsets, data)
    return Column(dtype, data, valid, offsets)

"""The form columns have between operators: flat NumPy arrays.

Invariant: `values` is C-contiguous; bool is uint8; decimals of at most 18 digits are unscaled int64, wider ones two
words per value (low, high); text is codes into a string table, or bytes with int64 offsets; `valid` is None (no nulls)
or one byte per row. Only in an exchange, int64 may stand in a narrower type, as what it is above `base`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from checkrow.buffers import empty, frozen
from checkrow.expressions import types
from checkrow.operators.strings import StringTable
from checkrow_kernels.scatter import widen_above
from checkrow_kernels.take import take, take_bytes, take_lengths, take_pairs

Array = NDArray[Any]


class Column(msgspec.Struct, frozen=True):
    """One column of some rows."""

    dtype: str
    values: Array
    valid: Array | None = None
    offsets: Array | None = None
    table: StringTable | None = None
    base: int | None = None

    def __len__(self) -> int:
        """Returns the number of rows."""
        if self.offsets is not None:
            return len(self.offsets) - 1
        return len(self.values) // 2 if types.is_wide(self.dtype) else len(self.values)

    @property
    def size_bytes(self) -> int:
        """Bytes of all buffers; a shared string table is not counted."""
        arrays = (self.values, self.valid, self.offsets)
        return sum(a.nbytes for a in arrays if a is not None)

    @staticmethod
    def nulls(dtype: str, rows: int) -> Column:
        """Returns a column of nulls."""
        valid = np.zeros(rows, np.uint8)
        if types.is_text(dtype):
            return Column(dtype, np.empty(0, np.uint8), valid, np.zeros(rows + 1, np.int64))
        return Column(dtype, np.zeros(2 * rows if types.is_wide(dtype) else rows, types.numpy_dtype(dtype)), valid)

    def take(self, rows: Array) -> Column:
        """Returns the column at some row numbers (int64)."""
        valid = None
        if self.valid is not None:
            valid = empty(len(rows), np.uint8)
            take(self.valid, rows, valid)
        if self.offsets is not None:
            offsets = empty(len(rows) + 1, np.int64)
            data = empty(take_lengths(self.offsets, rows, offsets), np.uint8)
            take_bytes(self.offsets, self.values, rows, offsets, data)
            return Column(self.dtype, data, valid, offsets)
        if types.is_wide(self.dtype):
            pairs = empty(2 * len(rows), np.int64)
            take_pairs(self.values, rows, pairs)
            return Column(self.dtype, pairs, valid)
        out = empty(len(rows), self.values.dtype)
        take(self.values, rows, out)
        return Column(self.dtype, out, valid, table=self.table)

    def spans(self) -> tuple[Array, Array, Array]:
        """Returns where each text starts and stops (int64), and the bytes they are in, without copying any of these."""
        if self.table is not None:
            offsets, data = self.table.strings() if self.valid is None else self.table.with_empty()
            codes = self.values if self.valid is None else np.where(self.values < 0, self.table.count, self.values)
            return offsets[codes], offsets[codes + 1], data
        offsets = self.offsets if self.offsets is not None else np.zeros(1, np.int64)
        return offsets[:-1], offsets[1:], self.values

    def filled_spans(self, fill: bytes) -> tuple[Array, Array, Array]:
        """Returns `spans` with a text in place of null."""
        starts, stops, data = self.spans()
        if self.valid is None:
            return starts, stops, data
        there, end = self.valid != 0, len(data)
        data = np.append(data, np.frombuffer(fill, np.uint8)) if fill else data
        return np.where(there, starts, end), np.where(there, stops, end + len(fill)), data

    def widened(self) -> Column:
        """Returns the column in its own type."""
        if self.base is None:
            return self
        values = empty(len(self.values), np.int64)
        self.widen_into(values)
        return Column(self.dtype, values, self.valid)

    def widen_into(self, out: Array) -> None:
        """Writes the values to an array of the column's own type."""
        if self.base is None:
            out[:] = self.values
        else:
            widen_above(frozen(self.values), self.base, out)

    def spelled(self) -> Column:
        """Returns text as bytes; a code means nothing outside its task."""
        if self.table is None:
            return self
        offsets, data = self.table.spell(self.values)
        return Column(self.dtype, data, self.valid, offsets)


class Columns(msgspec.Struct, frozen=True):
    """Some rows: named columns of equal length."""

    names: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: int

    def take(self, rows: Array) -> Columns:
        """Returns the rows at some row numbers (int64)."""
        return Columns(self.names, tuple(c.take(rows) for c in self.columns), len(rows))

    def only(self, names: tuple[str, ...]) -> Columns:
        """Returns the rows with some of the columns."""
        return Columns(names, tuple(self[n] for n in names), self.rows)

    @staticmethod
    def concat(parts: Sequence[Columns]) -> Columns:
        """Returns the rows of all parts, one part after the other, widened; text must be spelled out."""
        if len(parts) == 1:
            return parts[0].widened()
        rows = sum(p.rows for p in parts)
        columns = tuple(_joined([p.columns[j] for p in parts], rows) for j in range(len(parts[0].columns)))
        return Columns(parts[0].names, columns, rows)

    def widened(self) -> Columns:
        """Returns the rows with every column in its own type."""
        return Columns(self.names, tuple(c.widened() for c in self.columns), self.rows)

    @property
    def size_bytes(self) -> int:
        """Bytes of all columns."""
        return sum(c.size_bytes for c in self.columns)

    def __getitem__(self, name: str) -> Column:
        """Returns a column by name."""
        return self.columns[self.names.index(name)]


def _joined(parts: list[Column], rows: int) -> Column:
    valid = None
    if any(p.valid is not None for p in parts):
        valid = _strung([p.valid if p.valid is not None else np.ones(len(p), np.uint8) for p in parts])
    if parts[0].offsets is None:
        return Column(parts[0].dtype, _widened(parts), valid)
    values = _strung([p.values for p in parts])
    offsets = empty(rows + 1, np.int64)
    offsets[0] = 0
    at, base = 1, 0
    for part in parts:
        if part.offsets is not None:
            offsets[at : at + len(part)] = part.offsets[1:] + base
            at, base = at + len(part), base + len(part.values)
    return Column(parts[0].dtype, values, valid, offsets)


def _widened(parts: list[Column]) -> Array:
    """Returns the values of columns of one type one after the other, in that type."""
    if all(p.base is None for p in parts):
        return _strung([p.values for p in parts])
    out, at = empty(sum(len(p.values) for p in parts), np.int64), 0
    for part in parts:
        part.widen_into(out[at : at + len(part.values)])
        at += len(part.values)
    return out


def _strung(parts: list[Array]) -> Array:
    """Returns arrays of one type one after the other."""
    return np.concatenate(parts, out=empty(sum(map(len, parts)), parts[0].dtype))

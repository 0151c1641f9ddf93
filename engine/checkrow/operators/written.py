"""The arrays in which a driver writes rows of its own making: made once, copied out whenever they are full."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkrow.buffers import converted, filled
from checkrow.expressions import types
from checkrow.expressions.types import Field
from checkrow.kernels.outputs import workspace_dtype
from checkrow.operators.column import Column

Array = NDArray[Any]
_MOST_CLEARED = 1 << 18
"""Rows up to which arrays are cleared; beyond, new ones are made, whose pages cost nothing until they are used."""
_GIVEN_SHARE = 0.5
"""From this share on an array is given away and another one made, which costs less than copying what it holds."""
_TEXT_BYTES = 8
"""Bytes per row of text that a kernel writes, at first."""


class WrittenColumns:
    """Room for the columns that a kernel gives.

    A number has an array; a text has offsets, bytes, and the address and length of what the kernel wrote (see
    `checkrow.compile.groups`).

    Parameters
    ----------
    fields : tuple of Field
    wide : bool
        Whether narrow whole numbers are written as int64, and checked before they are stored.

    Attributes
    ----------
    rows : int
        Rows for which there is room.
    """

    def __init__(self, fields: tuple[Field, ...], *, wide: bool) -> None:
        self._fields = fields
        self._wide = wide
        self._columns: list[list[Array]] = []
        self._touched = 0
        self.rows = 0

    def make_room(self, rows: int) -> None:
        """Makes room for so many rows, if there is less; what was written is lost."""
        if self.rows < rows:
            self.rows, self._touched = rows, 0
            self._columns = [self._arrays(f.dtype, rows) for f in self._fields]

    def make_bytes(self, column: int) -> None:
        """Makes room for more bytes of a text, of which not even the first rows fit; what was written is lost."""
        offsets, data, *kept = self._columns[column]
        self._columns[column] = [offsets, np.empty(2 * len(data) + 1, np.uint8), *kept]

    def clear(self) -> None:
        """Makes every value that a kernel can see, or leave unwritten, 0 or the empty text; arrays may be new ones."""
        touched, self._touched = self._touched, 0
        if touched > _MOST_CLEARED:
            self._columns = [self._arrays(f.dtype, self.rows) for f in self._fields]
            return
        for arrays in self._columns:
            for seen in arrays if len(arrays) == 1 else arrays[2:]:
                seen[:touched] = 0

    def touch(self, rows: int) -> None:
        """Notes that no more than the first rows may have been written to since the last `clear`."""
        self._touched = max(self._touched, min(rows, self.rows))

    def arrays(self) -> list[Array]:
        """Returns what a driver is given."""
        return [a for arrays in self._columns for a in arrays]

    def first(self, rows: int) -> tuple[Column, ...]:
        """Returns the first rows as columns of their own; arrays may be new ones."""
        return tuple(self._first(number, rows) for number in range(len(self._fields)))

    def _first(self, number: int, rows: int) -> Column:
        dtype, arrays = self._fields[number].dtype, self._columns[number]
        if types.is_text(dtype):
            offsets = arrays[0][: rows + 1].copy()
            return Column(dtype, arrays[1][: offsets[-1]].copy(), None, offsets)
        values, stored = arrays[0], types.numpy_dtype(dtype)
        if values.dtype == stored and rows >= _GIVEN_SHARE * len(values):
            self._columns[number] = self._arrays(dtype, self.rows)
            return Column(dtype, values[:rows])
        return Column(dtype, converted(values[:rows].view(np.uint8) if dtype == "bool" else values[:rows], stored))

    def _arrays(self, dtype: str, rows: int) -> list[Array]:
        if types.is_text(dtype):
            return [np.zeros(rows + 1, np.int64), np.empty(_TEXT_BYTES * rows, np.uint8),
                    np.zeros(rows, np.int64), np.zeros(rows, np.int64)]  # fmt: skip
        declared = np.bool_ if dtype == "bool" else types.numpy_dtype(dtype)
        kind = workspace_dtype(dtype) if self._wide else declared
        return [np.zeros(rows, kind) if rows > _MOST_CLEARED else filled(rows, kind, 0)]

"""The arrays in which a driver over groups writes rows: made once for all of a task, copied out when full."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkrow.expressions import types
from checkrow.expressions.types import Field
from checkrow.operators.column import Column

Array = NDArray[Any]
_TEXT_BYTES = 8
"""Bytes per row of text that a kernel writes, at first."""


class GroupOutputs:
    """Room for rows: which group each belongs to, and per column its values.

    A column of texts has offsets, bytes, and the address and length of what the kernel wrote (see
    `checkrow.compile.groups`).

    Parameters
    ----------
    fields : tuple of Field
        The kernel's columns.

    Attributes
    ----------
    capacity : int
        Rows for which there is room.
    """

    def __init__(self, fields: tuple[Field, ...]) -> None:
        self._fields = fields
        self._group_of = np.empty(0, np.int32)
        self._columns: list[list[Array]] = []

    @property
    def capacity(self) -> int:
        """Rows for which there is room."""
        return len(self._group_of)

    def make_room(self, rows: int) -> None:
        """Makes room for so many rows, if there is less."""
        if self.capacity < rows:
            self._group_of = np.empty(rows, np.int32)
            self._columns = [_arrays(f.dtype, rows) for f in self._fields]

    def make_bytes(self, column: int) -> None:
        """Makes room for more bytes of a text: those of one group do not fit. What was written is lost."""
        offsets, data, *kept = self._columns[column]
        self._columns[column] = [offsets, np.empty(2 * len(data) + 1, np.uint8), *kept]

    def clear(self) -> None:
        """Makes every value that a kernel can see or leave unwritten 0, or the empty text."""
        for arrays in self._columns:
            for seen in arrays if len(arrays) == 1 else arrays[2:]:
                seen[:] = 0

    def arrays(self) -> list[Array]:
        """Returns what a driver is given."""
        return [self._group_of, *(a for arrays in self._columns for a in arrays)]

    def written(self, rows: int) -> tuple[Array, tuple[Column, ...]]:
        """Returns the groups of the first rows (int64), and their columns, as copies."""
        columns = tuple(_copied(f.dtype, a, rows) for f, a in zip(self._fields, self._columns, strict=True))
        return self._group_of[:rows].astype(np.int64), columns


def _arrays(dtype: str, rows: int) -> list[Array]:
    if types.is_text(dtype):
        return [np.zeros(rows + 1, np.int64), np.empty(_TEXT_BYTES * rows, np.uint8),
                np.zeros(rows, np.int64), np.zeros(rows, np.int64)]  # fmt: skip
    return [np.empty(rows, np.bool_ if dtype == "bool" else types.numpy_dtype(dtype))]


def _copied(dtype: str, arrays: list[Array], rows: int) -> Column:
    if types.is_text(dtype):
        offsets = arrays[0][: rows + 1].copy()
        return Column(dtype, arrays[1][: offsets[-1]].copy(), None, offsets)
    return Column(dtype, arrays[0][:rows].view(np.uint8).copy() if dtype == "bool" else arrays[0][:rows].copy())

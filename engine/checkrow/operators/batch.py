"""A batch: at most 131,072 rows of a slice, as Arrow and, column by column when asked, as arrays."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from checkrow.expressions.bounds import Interval
from checkrow.expressions.types import is_float, is_text
from checkrow.lazily import compute as pc
from checkrow.operators.arrow import coded_array, from_arrow, to_arrow
from checkrow.operators.column import Column
from checkrow.operators.strings import StringTable
from checkrow_kernels.bounds import minmax_int

Array = NDArray[Any]
ROWS = 131_072


class Origin(msgspec.Struct, frozen=True):
    """Where rows come from: a row group of a file (by its number among the task's), or a partition of an exchange."""

    text: str
    file: int | None = None
    row_group: int | None = None

    def __str__(self) -> str:
        """Returns what messages say."""
        return self.text


class Batch:
    """Rows of a slice.

    Parameters
    ----------
    raw : pyarrow.RecordBatch
        The rows as Arrow has them; columns named in `unscaled` are decimals in the form of their integers.
    tables : dict
        String tables of the slice, by column.
    dtypes : dict
        Column types by name.
    origin : Origin
    first_row : int
        Row number of the first one within `origin`.
    numbers : callable
        Gives the row numbers within `origin`, where rows were left out or became several; asked only when needed.
    columns : dict
        Columns that are arrays already, beside those of `raw`.
    """

    def __init__(
        self,
        raw: pa.RecordBatch,
        tables: dict[str, StringTable],
        dtypes: dict[str, str],
        origin: Origin,
        first_row: int,
        unscaled: frozenset[str] = frozenset(),
        numbers: Callable[[], Array] | None = None,
        columns: dict[str, Column] | None = None,
    ) -> None:
        self._raw = raw
        self.rows = raw.num_rows
        self.origin = origin
        self.first_row = first_row
        self._numbers = numbers
        self._tables = tables
        self._dtypes = dtypes
        self._unscaled = unscaled
        self._columns = dict(columns or {})
        self._own = frozenset(self._columns)
        self._ranges: dict[str, Interval] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns of `raw`."""
        return tuple(self._raw.schema.names)

    @cached_property
    def arrow(self) -> pa.RecordBatch:
        """The rows as Arrow has them, every column of its own type."""
        if not self._unscaled and not self._own:
            return self._raw
        held = self._raw.schema.names
        names = [n for n in self._dtypes if n in self._own or n in held]
        arrays = [self._raw.column(n) if n in held and n not in self._unscaled else self._array(n) for n in names]
        return pa.RecordBatch.from_arrays(arrays, names=names)

    def _array(self, name: str) -> pa.Array:
        """Returns a column as Arrow has it; codes into a small table as a dictionary."""
        column = self.column(name)
        if column.table is None or column.table.count > self.rows:
            return to_arrow(column)
        return coded_array(column, column.table)

    def column(self, name: str) -> Column:
        """Returns a column as arrays."""
        if name not in self._columns:
            array = self._raw.column(name)
            if name in self._unscaled:
                plain = from_arrow(array, "int64")
                self._columns[name] = Column(self._dtypes[name], plain.values, plain.valid)
            else:
                self._columns[name] = from_arrow(array, self._dtypes[name], self._tables.get(name))
        return self._columns[name]

    def replaced(self, arrow: pa.RecordBatch, places: Callable[[], Array]) -> Batch:
        """Returns some of the rows, with the same string tables; `places` tells which rows of this batch they are."""
        return Batch(
            arrow, self._tables, self._dtypes, self.origin, self.first_row,
            numbers=lambda: self.row_numbers[places()],
        )  # fmt: skip

    def numbered(self, name: str, numbers: NDArray[np.int64]) -> Batch:
        """Returns the rows with one more column, of whole numbers."""
        own = {n: c for n, c in self._columns.items() if n in self._own}
        return Batch(
            self._raw, self._tables, {**self._dtypes, name: "int64"}, self.origin, self.first_row, self._unscaled,
            self._numbers, {**own, name: Column("int64", numbers)},
        )  # fmt: skip

    def selected(self, mask: pa.BooleanArray, good: NDArray[Any] | None = None) -> Batch:
        """Returns the rows for which a mask is true, and which are good where that is told."""
        if good is not None:
            mask = pc.and_(mask, pa.array(good))
        return self.replaced(self.arrow.filter(mask), lambda: pc.indices_nonzero(mask).to_numpy())

    @cached_property
    def row_numbers(self) -> Array:
        """The numbers of all rows within `origin`, int64."""
        if self._numbers is None:
            return np.arange(self.first_row, self.first_row + self.rows)
        return self._numbers()

    def row_number(self, row: int) -> int:
        """Returns the number of a row within `origin`."""
        return self.first_row + row if self._numbers is None else int(self.row_numbers[row])

    def place(self, row: int) -> str:
        """Returns where a row stands, as messages begin."""
        return f"{self.origin}, row {self.row_number(row)}:"

    def has_nulls(self, names: tuple[str, ...]) -> bool:
        """Tells whether one of some columns holds a null here."""
        return any(
            self._columns[name].valid is not None if name in self._own else self._raw.column(name).null_count
            for name in names
        )

    def ranges(self, names: tuple[str, ...]) -> dict[str, Interval]:
        """Returns the smallest and largest stored integer of columns in this batch."""
        for name in names:
            dtype = self._dtypes[name]
            if name in self._ranges or is_float(dtype) or is_text(dtype) or not self.rows:
                continue
            values = self.column(name).values
            low, high = minmax_int(values, len(values))
            self._ranges[name] = (int(low), int(high))
        return {n: self._ranges[n] for n in names if n in self._ranges}

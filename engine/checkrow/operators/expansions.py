"""Rows made of rows: the expand kernels of a stage, run on batch after batch of its source.

Invariant: rows come out in the order of those they were made of and keep their numbers, so that a failure anywhere
names the row that was read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from checkrow.compile.cache import DriverCache
from checkrow.compile.driver import DONE, FULL, Driver
from checkrow.compile.expansions import expand_driver, room_is_unseen
from checkrow.expressions.nodes import Node
from checkrow.operators.arrow import to_arrow
from checkrow.operators.bad_rows import BadRowKeeper
from checkrow.operators.batch import ROWS, Batch
from checkrow.operators.drive import KernelFailed, drive
from checkrow.operators.fuse import input_arrays, scalar_arguments
from checkrow.operators.rows import RowPipeline, screened
from checkrow.operators.strings import StringTable
from checkrow.operators.written import WrittenColumns
from checkrow.plan.expansions import Expansion

Array = NDArray[Any]
FIRST_ROOM = 32
"""Rows for which `out` has room at first, where the kernel cannot tell: all of it is cleared for every row."""


class Expander:
    """Calls one expand kernel for the rows of batches.

    Parameters
    ----------
    expansion : Expansion
    tables : dict
        String tables for the columns that come out.
    """

    def __init__(
        self, expansion: Expansion, tables: dict[str, StringTable], cache: DriverCache, keeper: BadRowKeeper, *,
        fused: bool,
    ) -> None:  # fmt: skip
        self._expansion = expansion
        self._spec = expansion.call.kernel
        self._call = expansion.inputs()
        self._limit = self._spec.max_rows or 1
        self._room = min(FIRST_ROOM, self._limit) if room_is_unseen(self._spec) else self._limit
        self._tables = tables
        self._cache = cache
        self._keeper = keeper
        self._pipeline = RowPipeline(expansion.predicates, expansion.columns(), cache, keeper, fused=fused)
        self._dtypes = {f.name: f.dtype for f in expansion.schema()}
        self._drivers: dict[bool, Driver] = {}
        self._state = np.zeros(1, np.int64)
        self._out = WrittenColumns(self._spec.returns, wide=True)
        self._out.make_room(max(ROWS, self._limit))
        self._rows = np.empty(self._out.rows, np.int64)

    def run(self, batch: Batch) -> Iterator[Batch]:
        """Yields what the kernel makes of the rows that meet the conditions before it.

        Raises
        ------
        KernelRowError
            On the first row on which a kernel fails, if that ends the run.
        """
        below, row = self._pipeline.rows(batch), 0
        while row < below.rows:
            row, failed = self._drive(below, row)
            if failed is not None:
                self._keeper.take(below, failed)
                row = failed.row + 1
            elif row < below.rows:
                yield from self._flush(below)
        yield from self._flush(below)

    def _drive(self, below: Batch, row: int) -> tuple[int, KernelFailed | None]:
        """Runs the driver once; returns the next row and, if the kernel failed on it, how."""
        masked = below.has_nulls(tuple(a.name for a in self._call.args))
        if masked not in self._drivers:
            self._drivers[masked] = expand_driver(self._call, masked=masked)
        driver = self._drivers[masked]
        given = (
            *input_arrays(driver, below), *scalar_arguments(driver), self._room, self._most(), len(self._rows),
            self._state, self._rows, *self._out.arrays(),
        )  # fmt: skip
        try:
            row, status, detail = drive(self._cache, driver, row, below.rows, given)
        except KernelFailed as failed:
            # A driver that raises has not told what it wrote; one that refuses a row has.
            self._state[0] = max(self._state[0], failed.kept)
            more = failed.reason == "IndexError" and self._make_room()
            return failed.row, None if more else self._explained(failed)
        if status == FULL and not self._state[0]:
            self._out.make_bytes(detail)  # there is always room for the rows of one
        if status in {DONE, FULL} or self._make_room():
            return row, None
        what = f"says it wrote {detail} rows; between 0 and max_rows={self._limit} are allowed"
        return row, KernelFailed(row, self._spec, "WrongRows", what)

    def _most(self) -> int:
        """Returns how many rows a row may give in this room.

        Half of a smaller room than the kernel was promised: with an index below 0 it would reach the other half.
        """
        return self._room if self._room == self._limit else self._room // 2

    def _make_room(self) -> bool:
        """Makes more room for each row, if that was not all; the row that did not find enough is tried again."""
        if self._room == self._limit:
            return False
        self._room = min(8 * self._room, self._limit)
        return True

    def _explained(self, failed: KernelFailed) -> KernelFailed:
        if failed.reason != "IndexError":
            return failed
        what = f"{failed.message}; `out` has room for max_rows={self._limit} rows of each row"
        return KernelFailed(failed.row, self._spec, failed.reason, what, line=failed.line)

    def _flush(self, below: Batch) -> Iterator[Batch]:
        """Yields the rows written so far; arrays may be new ones."""
        count, self._state[0] = int(self._state[0]), 0
        rows = self._rows[:count].copy()
        kept = [below.arrow.column(n).take(pa.array(rows)) for n, _ in self._expansion.kept]
        made = [to_arrow(c) for c in self._out.first(count)]
        whole = pa.RecordBatch.from_arrays([*kept, *made], names=list(self._dtypes))
        for start in range(0, count, ROWS):
            yield self._piece(below, whole.slice(start, ROWS), rows[start : start + ROWS])

    def _piece(self, below: Batch, arrow: pa.RecordBatch, rows: Array) -> Batch:
        return Batch(
            arrow, self._tables, self._dtypes, below.origin, below.first_row, numbers=lambda: below.row_numbers[rows]
        )  # fmt: skip


class Expansions:
    """All expand kernels of a stage, one after the other.

    Parameters
    ----------
    expansions : sequence of Expansion
    predicates, nodes
        What is computed of the rows that come out: where bad rows leave, all rows made of one leave when one does.
    tables : dict
        String tables for the columns that come out.

    Attributes
    ----------
    rows_added : int
        Rows that came out beyond the first of each row that went in.
    """

    def __init__(
        self, expansions: Sequence[Expansion], predicates: tuple[Node, ...], nodes: tuple[Node, ...],
        tables: dict[str, StringTable], cache: DriverCache, keeper: BadRowKeeper, *, fused: bool,
    ) -> None:  # fmt: skip
        last = len(expansions) - 1
        self._expanders = [
            Expander(e, tables if n == last else {}, cache, keeper, fused=fused) for n, e in enumerate(expansions)
        ]
        self._predicates = predicates
        self._nodes = nodes
        self._cache = cache
        self._keeper = keeper
        self.rows_added = 0

    def run(self, batch: Batch) -> Iterator[Batch]:
        """Yields the rows that the kernels make of a batch."""
        last = -1
        for made in self._whole(batch) if self._keeper.keeps else self._chained(batch, 0):
            numbers = made.row_numbers
            self.rows_added += made.rows - int(np.count_nonzero(np.diff(numbers, prepend=last)))
            last = int(numbers[-1]) if made.rows else last
            yield made

    def _chained(self, batch: Batch, level: int) -> Iterator[Batch]:
        if level == len(self._expanders):
            yield batch
            return
        for made in self._expanders[level].run(batch):
            yield from self._chained(made, level + 1)

    def _whole(self, batch: Batch) -> Iterator[Batch]:
        """Yields the rows made of those on which no kernel fails; they are held until that is known."""
        held = list(self._chained(batch, 0))
        for made in held:
            screened(made, self._predicates, self._nodes, self._cache, self._keeper)
        for made in held:
            good = self._keeper.good_in(made)
            yield made if good is None else made.selected(pa.array(good))

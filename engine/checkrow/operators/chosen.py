"""First and last rows of groups: columns of any type, text included, kept for the row that an order chooses.

Ties: `first` keeps the row met first, `last` the one met last. A null in the order comes last either way.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkrow.buffers import frozen
from checkrow.operators.column import Column, Columns
from checkrow.operators.order import order_words
from checkrow.plan.aggregates import State
from checkrow_kernels.group import choose_rows

Array = NDArray[Any]


class ChosenRows:
    """The chosen row of every group of a table so far."""

    def __init__(self, state: State) -> None:
        self._latest = state.kind == "last"
        arguments = state.arguments
        self._dtypes = tuple(a.dtype for a in arguments)
        self._order = tuple(arguments.index(o.node) for o in state.order)
        self._descending = tuple(o.descending != self._latest for o in state.order)
        self.clear()

    def clear(self) -> None:
        """Forgets all rows."""
        self._rows: Columns | None = None
        self._gids = np.empty(0, np.int32)

    def update(self, gids: Array, columns: tuple[Column, ...]) -> None:
        """Takes in rows of groups: those of a batch, or those another table chose."""
        names = tuple(str(j) for j in range(len(columns)))
        rows, gids = self._best(Columns(names, columns, len(gids)), gids)
        rows = Columns(names, tuple(c.spelled() for c in rows.columns), rows.rows)
        if self._rows is not None:
            rows, gids = self._best(Columns.concat([self._rows, rows]), np.concatenate([self._gids, gids]))
        self._rows, self._gids = rows, gids

    def _best(self, rows: Columns, gids: Array) -> tuple[Columns, Array]:
        """Returns one row per group that has any, by group number, and the group numbers."""
        if not rows.rows:
            return rows, gids
        words = order_words([rows.columns[j] for j in self._order], self._descending)
        chosen = np.full(int(gids.max()) + 1, -1, np.int64)
        stacked = np.stack(words, axis=1) if words else np.zeros((rows.rows, 1), np.uint64)
        choose_rows(frozen(gids), frozen(stacked), self._latest, chosen)
        kept = np.flatnonzero(chosen >= 0)
        return rows.take(chosen[kept]), kept.astype(np.int32)

    def columns(self, groups: int) -> list[Column]:
        """Returns what was chosen for the groups from 0, null where there is none."""
        if self._rows is None:
            return [Column.nulls(d, groups) for d in self._dtypes]
        if len(self._gids) == groups:
            return list(self._rows.columns)
        valid = np.zeros(groups, np.uint8)
        valid[self._gids] = 1
        source = np.zeros(groups, np.int64)
        source[self._gids] = np.arange(len(self._gids))
        taken = self._rows.take(source)
        return [_masked(c, valid) for c in taken.columns]


def _masked(column: Column, valid: Array) -> Column:
    there = valid if column.valid is None else valid & column.valid
    return Column(column.dtype, column.values, there, column.offsets, column.table)

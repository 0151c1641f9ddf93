"""Second keys of the groups of a partition: pairs of a group and a value, each once, with states of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkrow.buffers import frozen
from checkrow.compile.cache import DriverCache
from checkrow.expressions.nodes import Node
from checkrow.operators.column import Column, Columns
from checkrow.operators.grouping import GroupTable
from checkrow.operators.key_columns import KeyColumns
from checkrow.operators.keys import pack
from checkrow.operators.order import order_words, rows_in_order
from checkrow.plan.aggregates import SECOND, State
from checkrow_kernels.sort import group_starts
from checkrow_kernels.take import take

Array = NDArray[Any]
AddStates = Callable[[GroupTable, Array, int], None]
_GROUP = "@group"


class Below:
    """The values of a second key by group, ascending within each; nulls are left out.

    Parameters
    ----------
    second : Node
        The typed second key.
    states : tuple of State
        What is kept of each pair.
    groups : int
        Groups there are, from 0.
    """

    def __init__(self, second: Node, states: tuple[State, ...], groups: int, cache: DriverCache) -> None:
        self._keys = KeyColumns(((_GROUP, Node("col", name=_GROUP, dtype="int32")), (SECOND, second)))
        self._states = states
        self._groups = groups
        self._cache = cache
        self.starts = np.zeros(groups + 1, np.int64)
        """Where each group's values begin, shape (groups + 1,)."""

    def add(self, sent: Sequence[tuple[Array, Column, AddStates]]) -> None:
        """Takes in all pieces at once: groups of the rows, their values, and what adds their states to a table."""
        pairs = [Columns((_GROUP, SECOND), (Column("int32", g), v.spelled()), len(g)) for g, v, _ in sent]
        encoded = [self._keys.encode(p) for p in pairs]
        self._table = GroupTable(self._keys.layout(encoded), self._states, self._cache)
        for pair, (bits, valid), (_, _, add_states) in zip(pairs, encoded, sent, strict=True):
            known = self._table.count
            add_states(self._table, self._table.upsert(pack(self._table.layout, bits, valid), pair.rows), known)
        group, value = self._keys.columns(self._table.layout, self._table.key_words())
        kept = np.flatnonzero(value.valid) if value.valid is not None else np.arange(self._table.count)
        gids = np.ascontiguousarray(group.values[kept])
        group_starts(gids, self.starts)
        values = value.take(kept)
        order = rows_in_order(
            order_words([Column(value.dtype, values.values, None, values.offsets)], [False]), gids, self.starts
        )
        self._rows = kept[order]
        self._values = values.take(order)

    def values(self) -> Column:
        """Returns the values of all groups, one group after the other."""
        return self._values

    def array(self, state: int) -> Array:
        """Returns what a state keeps of every value."""
        source = self._table.arrays[state][0]
        out = np.empty(len(self._rows), source.dtype)
        take(frozen(source), frozen(self._rows), out)
        return out

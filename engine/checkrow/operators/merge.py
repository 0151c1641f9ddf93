"""Merge what slices sent of one partition, slice by slice in order: states of groups, or rows, of one or more parts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from checkrow.compile.cache import DriverCache
from checkrow.expressions.nodes import Node
from checkrow.operators.below import Below
from checkrow.operators.column import Column, Columns
from checkrow.operators.finish import result, result_below
from checkrow.operators.grouping import GroupTable
from checkrow.operators.key_columns import KeyColumns
from checkrow.operators.keys import pack
from checkrow.plan.aggregates import PART, SECOND, Aggregation, state_name

Array = NDArray[Any]


def merge_partition(aggregation: Aggregation, parts: Sequence[Columns], cache: DriverCache) -> Columns:
    """Returns the groups of a partition from what all slices sent.

    The order of groups is that of their first appearance, slice by slice; float sums are added in slice order. Without
    keys there is always one group.
    """
    keys = KeyColumns(aggregation.keys)
    pieces = [Columns.concat(list(some)) for _, some in groupby((p for p in parts if p.rows), lambda p: p.names)]
    encoded = [keys.encode(p) for p in pieces]
    plain = next((n for n, p in enumerate(aggregation.parts) if p.second is None), None)
    table = GroupTable(keys.layout(encoded), aggregation.parts[plain].states if plain is not None else (), cache)
    sent: list[list[_Sent]] = [[] for _ in aggregation.parts]
    for piece, (bits, valid) in zip(pieces, encoded, strict=True):
        known = table.count
        words = pack(table.layout, bits, valid) if aggregation.keys else (np.zeros(piece.rows, np.int64),)
        gids = table.upsert(words, piece.rows)
        for number in range(len(aggregation.parts)):
            here = _Sent.of(aggregation, number, piece, gids)
            if number == plain:
                here.add_to(table, here.gids, known)
            else:
                sent[number].append(here)
    if not aggregation.keys and not table.count:
        table.upsert((np.zeros(1, np.int64),), 1)
    table.normalise()
    below = {n: _below(aggregation, n, sent[n], table.count, cache) for n in range(len(sent)) if n != plain}
    names = [n for n, _ in aggregation.keys] + [f.name for f in aggregation.finishes]
    columns = keys.columns(table.layout, table.key_words())
    results = (result(f, table) if f.part == plain else result_below(f, below[f.part]) for f in aggregation.finishes)
    return Columns(tuple(names), (*columns, *results), table.count)


class _Sent(msgspec.Struct, frozen=True):
    """What belongs to one part of a piece: columns by what they hold, and the group of every row.

    `of_node` tells the columns of rows by the expression they hold; it is None where states travelled.
    """

    aggregation: Aggregation
    part: int
    columns: Columns
    prefix: str
    gids: Array
    of_node: dict[Node, str] | None

    @staticmethod
    def of(aggregation: Aggregation, part: int, piece: Columns, gids: Array) -> _Sent:
        """Returns what a piece holds of a part."""
        names = {node: name for name, node in aggregation.row_columns()}
        if piece.names == tuple(names.values()):
            return _Sent(aggregation, part, piece, "", gids, names)
        if PART not in piece.names:
            return _Sent(aggregation, part, piece, "", gids, None)
        rows = np.flatnonzero(piece[PART].values == part)
        prefix = str(part)
        own = [n for n, _ in aggregation.travelling() if n.startswith((f"{prefix}@", f"{prefix}#"))]
        columns = Columns(tuple(own), tuple(piece[n] for n in own), piece.rows).take(rows)
        return _Sent(aggregation, part, columns, prefix, gids[rows], None)

    def second(self) -> Column:
        """Returns the values of the second key."""
        node = self.aggregation.parts[self.part].second
        if node is None:
            raise AssertionError("a part without a second key has no values of it")
        return self.columns[self.of_node[node] if self.of_node is not None else self.prefix + SECOND]

    def add_to(self, table: GroupTable, gids: Array, known: int) -> None:
        """Adds rows one by one, or their partial states, to the states of a table."""
        states = self.aggregation.parts[self.part].states
        if self.of_node is not None:
            names = self.of_node
            table.update(gids, [tuple(self.columns[names[a]] for a in s.arguments) for s in states], known)
            return
        for number, state in enumerate(states):
            columns = tuple(self.columns[self.prefix + state_name(number, j)] for j in range(len(state.arrays)))
            table.merge(number, gids, known, columns)


def _below(aggregation: Aggregation, part: int, sent: list[_Sent], groups: int, cache: DriverCache) -> Below:
    """Returns the second keys of all groups, with their states."""
    second = aggregation.parts[part].second
    if second is None:
        raise AssertionError("only a part with a second key has values below its groups")
    out = Below(second, aggregation.parts[part].states, groups, cache)
    out.add([(s.gids, s.second(), s.add_to) for s in sent])
    return out

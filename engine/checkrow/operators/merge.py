"""Merge the partial states of one partition, slice by slice in order, and read the results."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkrow.compile.cache import DriverCache
from checkrow.expressions import types
from checkrow.operators.column import Column, Columns
from checkrow.operators.grouping import GroupTable, out_of_range
from checkrow.operators.key_columns import KeyColumns, some
from checkrow.operators.keys import pack
from checkrow.operators.partial import state_name
from checkrow.plan.aggregates import Aggregation, Finish
from checkrow_kernels import aggregate as kernels

Array = NDArray[Any]
_HUGE = 10**38 // 2**64


def merge_partition(aggregation: Aggregation, parts: Sequence[Columns], cache: DriverCache) -> Columns:
    """Returns the groups of a partition from what all slices sent: partial states, or rows.

    The order of groups is that of their first appearance, slice by slice; float sums are added in slice order. Without
    keys there is always one group.
    """
    keys = KeyColumns(aggregation.keys)
    pieces = [Columns.concat(list(some)) for _, some in groupby((p for p in parts if p.rows), lambda p: p.names)]
    encoded = [keys.encode(p) for p in pieces]
    table = GroupTable(keys.layout(encoded), aggregation.states, cache)
    for piece, (bits, valid) in zip(pieces, encoded, strict=True):
        known = table.count
        words = pack(table.layout, bits, valid) if aggregation.keys else (np.zeros(piece.rows, np.int64),)
        _add(aggregation, table, piece, table.upsert(words, piece.rows), known)
    if not aggregation.keys and not table.count:
        table.upsert((np.zeros(1, np.int64),), 1)
    return _finish(aggregation, table, keys)


def _add(aggregation: Aggregation, table: GroupTable, piece: Columns, gids: Array, known: int) -> None:
    """Adds a piece to the states: its rows one by one, or its partial states."""
    names = {node: name for name, node in aggregation.row_columns()}
    are_rows = piece.names == tuple(names.values())
    for number, state in enumerate(aggregation.states):
        if are_rows:
            table.update(number, gids, tuple(piece[names[a]] for a in state.arguments))
        else:
            arrays = tuple(piece[state_name(number, j)].values for j in range(len(state.arrays)))
            table.merge(number, gids, known, arrays)


def _finish(aggregation: Aggregation, table: GroupTable, keys: KeyColumns) -> Columns:
    table.normalise()
    names = [n for n, _ in aggregation.keys] + [f.name for f in aggregation.finishes]
    columns = [*keys.columns(table.layout, table.key_words())]
    columns += [_result(finish, table, table.count) for finish in aggregation.finishes]
    return Columns(tuple(names), tuple(columns), table.count)


def _result(finish: Finish, table: GroupTable, count: int) -> Column:
    if finish.function == "own":
        return table.own_result(finish.state)
    arrays = tuple(a[:count] for a in table.arrays[finish.state])
    valid = None
    if finish.valid is not None:
        valid = some((table.arrays[finish.valid][0][:count] > 0).astype(np.uint8))
    if finish.function == "mean" and finish.valid is not None:
        return Column("double", _mean(finish, table, arrays, count), valid)
    if finish.function == "sum":
        return Column(finish.dtype, _sum(finish, table, arrays, count), valid)
    values = arrays[0] if valid is None else np.where(valid != 0, arrays[0], arrays[0].dtype.type(0))
    return Column(finish.dtype, np.ascontiguousarray(values), valid)


def _sum(finish: Finish, table: GroupTable, arrays: tuple[Array, ...], count: int) -> Array:
    kind = table.states[finish.state].kind
    if kind == "sum_float":
        return arrays[0]
    out = np.empty(2 * count if types.is_wide(finish.dtype) else count, np.int64)
    if kind == "sum_wide":
        if kernels.triple_to_pairs(arrays[0], arrays[1], arrays[2], count, out) >= 0 or _beyond_38_digits(out):
            raise out_of_range(finish.name, finish.dtype)
    elif types.is_wide(finish.dtype):
        kernels.split_to_pairs(arrays[0], arrays[1], count, out)
    else:
        if kernels.split_fits_int64(arrays[1], count) >= 0:
            raise out_of_range(finish.name, finish.dtype)
        kernels.split_to_int64(arrays[0], arrays[1], count, out)
    return out


def _beyond_38_digits(words: Array) -> bool:
    """Tells whether a two-word integer has more than 38 digits; only huge ones are looked at one by one."""
    high = words[1::2]
    low = words[::2].view(np.uint64)
    near = np.flatnonzero((high >= _HUGE) | (high < -_HUGE))
    return any(abs(int(high[i]) * 2**64 + int(low[i])) >= 10**38 for i in near)


def _mean(finish: Finish, table: GroupTable, arrays: tuple[Array, ...], count: int) -> Array:
    state = table.states[finish.state]
    counts = table.arrays[finish.valid or 0][0][:count].astype(np.float64)
    counts[counts == 0] = 1.0
    if state.kind == "sum_float":
        return arrays[0] / counts
    scale = (
        types.decimal_shape(state.arg.dtype)[1] if state.arg is not None and types.is_decimal(state.arg.dtype) else 0
    )
    if state.kind == "sum_wide":
        total = np.empty(count)
        kernels.triple_to_float(arrays[0], arrays[1], arrays[2], count, total)
    else:
        total = arrays[1].astype(np.float64) * 2.0**32 + arrays[0]
    return total / counts / float(10**scale)

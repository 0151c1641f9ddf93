"""Merge the partial states of one partition, slice by slice in order, and read the results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkrow.expressions import types
from checkrow.operators.column import Column, Columns
from checkrow.operators.grouping import GroupTable, out_of_range
from checkrow.operators.keys import Key, covers, key_bits, key_values, layout, observed, pack, unpack
from checkrow.operators.partial import state_name
from checkrow.operators.strings import StringTable
from checkrow.plan.aggregates import STATE_ARRAYS, Aggregation, Finish
from checkrow_kernels import aggregate as kernels

Array = NDArray[Any]
_HUGE = 10**38 // 2**64


def merge_partition(aggregation: Aggregation, parts: Sequence[Columns]) -> Columns:
    """Returns the groups of a partition from the partial states of all slices.

    The order of groups is that of their first appearance, slice by slice; float sums are added in slice order. Without
    keys there is always one group.
    """
    tables = {n: StringTable() for n, (_, k) in enumerate(aggregation.keys) if types.is_text(k.dtype)}
    encoded = [_keys(aggregation, part, tables) for part in parts]
    table = GroupTable(_layout(aggregation, encoded), aggregation.states)
    for part, (bits, valid) in zip(parts, encoded, strict=True):
        if not part.rows:
            continue
        words = pack(table.layout, bits, valid) if aggregation.keys else (np.zeros(part.rows, np.int64),)
        gids = table.upsert(words, part.rows)
        for number, state in enumerate(aggregation.states):
            arrays = tuple(part[state_name(number, j)].values for j in range(len(STATE_ARRAYS[state.kind])))
            table.merge(number, gids, arrays)
    if not aggregation.keys and not table.count:
        table.upsert((np.zeros(1, np.int64),), 1)
    return _finish(aggregation, table, tables)


def _keys(
    aggregation: Aggregation, part: Columns, tables: dict[int, StringTable]
) -> tuple[tuple[Array, ...], tuple[Array | None, ...]]:
    bits, valid = [], []
    for number, (name, _) in enumerate(aggregation.keys):
        column = part[name]
        if number in tables and column.offsets is not None:
            codes = tables[number].encode(column.offsets, column.values, column.valid)
            column = Column(column.dtype, codes, column.valid)
        bits.append(key_bits(column.dtype, column.values))
        valid.append(column.valid)
    return tuple(bits), tuple(valid)


def _layout(aggregation: Aggregation, encoded: list[tuple[tuple[Array, ...], tuple[Array | None, ...]]]) -> Any:
    keys = tuple(Key(k.dtype, k.nullable) for _, k in aggregation.keys)
    ranges = []
    for number in range(len(keys)):
        seen = [observed(bits[number], valid[number]) for bits, valid in encoded]
        known = [s for s in seen if s is not None]
        ranges.append((min(s[0] for s in known), max(s[1] for s in known)) if known else (0, 0))
    plan = layout(keys, tuple(ranges))
    if not covers(plan, tuple(ranges)):
        raise AssertionError("a layout made from observed ranges covers them")
    return plan


def _finish(aggregation: Aggregation, table: GroupTable, tables: dict[int, StringTable]) -> Columns:
    count = table.count
    table.normalise()
    names, columns = [], []
    if aggregation.keys:
        bits, valid = unpack(table.layout, table.key_words())
    for number, (name, node) in enumerate(aggregation.keys):
        values = key_values(node.dtype, bits[number])
        ok = valid[number]
        if number in tables and ok is not None:
            values = np.where(ok != 0, values, np.int32(-1))
        names.append(name)
        columns.append(Column(node.dtype, values, _some(ok), table=tables.get(number)).spelled())
    for finish in aggregation.finishes:
        names.append(finish.name)
        columns.append(_result(finish, table, count))
    return Columns(tuple(names), tuple(columns), count)


def _some(valid: Array | None) -> Array | None:
    return None if valid is None or valid.all() else valid


def _result(finish: Finish, table: GroupTable, count: int) -> Column:
    arrays = tuple(a[:count] for a in table.arrays[finish.state])
    valid = None
    if finish.valid is not None:
        valid = _some((table.arrays[finish.valid][0][:count] > 0).astype(np.uint8))
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

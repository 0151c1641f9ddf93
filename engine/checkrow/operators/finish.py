"""Results of aggregates from the states of all groups."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkrow.expressions import types
from checkrow.operators.below import Below
from checkrow.operators.column import Column
from checkrow.operators.grouping import GroupTable, out_of_range
from checkrow.operators.key_columns import some
from checkrow.plan.aggregates import Finish
from checkrow_kernels import aggregate as kernels
from checkrow_kernels.sketch import estimate_distinct, weighted_quantiles

Array = NDArray[Any]
_HUGE = 10**38 // 2**64


def result(finish: Finish, table: GroupTable) -> Column:
    """Returns the column of an aggregate kept by group; exact sums have been carried before.

    Raises
    ------
    ArithmeticRangeError
        If an exact sum does not fit its type.
    """
    count = table.count
    if finish.function == "own":
        return table.own_result(finish.state)
    if finish.function == "chosen":
        return table.state_columns(finish.state)[0]
    arrays = tuple(a[:count] for a in table.arrays[finish.state])
    if finish.function in {"var", "std"}:
        return _spread(finish, *arrays)
    valid = None
    if finish.valid is not None:
        valid = some((table.arrays[finish.valid][0][:count] > 0).astype(np.uint8))
    if finish.function == "mean" and finish.valid is not None:
        return Column("double", _mean(finish, table, arrays, count), valid)
    if finish.function == "sum":
        return Column(finish.dtype, _sum(finish, table, arrays, count), valid)
    values = arrays[0] if valid is None else np.where(valid != 0, arrays[0], arrays[0].dtype.type(0))
    return Column(finish.dtype, np.ascontiguousarray(values), valid)


def result_below(finish: Finish, below: Below) -> Column:
    """Returns the column of an aggregate of the second keys of every group."""
    if finish.function == "count_distinct":
        return Column("int64", np.diff(below.starts))
    if finish.function == "approx_distinct":
        out = np.empty(len(below.starts) - 1, np.int64)
        estimate_distinct(below.starts, below.array(finish.state), out)
        return Column("int64", out)
    quantiles = np.empty(len(below.starts) - 1)
    weighted_quantiles(below.starts, _floats(below.values()), below.array(finish.state), finish.option, quantiles)
    return Column("double", quantiles, some((np.diff(below.starts) > 0).astype(np.uint8)))


def _floats(column: Column) -> Array:
    scale = types.decimal_shape(column.dtype)[1] if types.is_decimal(column.dtype) else 0
    return column.values.astype(np.float64) / float(10**scale)


def _spread(finish: Finish, n: Array, _mean: Array, square: Array) -> Column:
    """Returns the variance or its root; null where no degree of freedom is left."""
    free = n - finish.option
    valid = (free > 0.0).astype(np.uint8)
    variance = square / np.where(free > 0.0, free, 1.0)
    values = np.sqrt(variance) if finish.function == "std" else variance
    return Column("double", np.where(valid != 0, values, 0.0), some(valid))


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

"""Types of the three columns that kernels over random tables take, and their values as kernels see them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from tests.profiles import most

DAY = dt.date(1970, 1, 1)
MOMENT = dt.datetime(1970, 1, 1)
UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


class Types(NamedTuple):
    """The types of columns `x`, `y` and `z`."""

    x: pa.DataType
    y: pa.DataType
    z: pa.DataType


# Numba makes a float of a variable that is now int64, now uint64: uint64 is `z`, which kernels do not mix with others.
SIGNATURES = [
    Types(pa.int64(), pa.float64(), pa.int32()),
    Types(pa.timestamp("us"), pa.float32(), pa.bool_()),
    Types(pa.uint16(), pa.decimal128(12, 3), pa.date32()),
    Types(pa.float64(), pa.int8(), pa.uint64()),
    Types(pa.bool_(), pa.int16(), pa.float64()),
    Types(pa.int8(), pa.int8(), pa.int8()),
    Types(pa.int32(), pa.timestamp("s"), pa.float32()),
    Types(pa.date32(), pa.int64(), pa.uint8()),
    Types(pa.uint8(), pa.uint32(), pa.uint16()),
    Types(pa.float32(), pa.float32(), pa.float32()),
    Types(pa.timestamp("ms"), pa.date32(), pa.timestamp("s")),
    Types(pa.decimal128(18, 0), pa.bool_(), pa.decimal128(1, 1)),
    Types(pa.duration("us"), pa.int32(), pa.duration("ms")),
    Types(pa.timestamp("us", tz="Europe/Oslo"), pa.duration("s"), pa.uint64()),
    Types(pa.uint32(), pa.float64(), pa.bool_()),
    Types(pa.int16(), pa.uint8(), pa.int64()),
    Types(pa.bool_(), pa.bool_(), pa.bool_()),
    Types(pa.int16(), pa.uint32(), pa.uint64()),
    Types(pa.date32(), pa.date32(), pa.float64()),
    Types(pa.float64(), pa.float64(), pa.float64()),
    Types(pa.decimal128(7, 2), pa.decimal128(18, 9), pa.decimal128(3, 0)),
    Types(pa.int64(), pa.int64(), pa.int64()),
    Types(pa.float32(), pa.int8(), pa.timestamp("us")),
    Types(pa.int8(), pa.float32(), pa.decimal128(9, 9)),
    Types(pa.duration("s"), pa.uint16(), pa.uint32()),
    Types(pa.uint16(), pa.timestamp("ms"), pa.int16()),
    Types(pa.int32(), pa.int32(), pa.int32()),
    Types(pa.timestamp("s"), pa.timestamp("us"), pa.timestamp("ms")),
    Types(pa.uint8(), pa.bool_(), pa.float32()),
    Types(pa.decimal128(15, 5), pa.float64(), pa.date32()),
][: most(4, 30)]


def values(dtype: pa.DataType) -> st.SearchStrategy[Any]:
    """Draws values of a type, few of them often; of those that kernels compare with an int64, only such as fit one."""
    if pa.types.is_boolean(dtype):
        return st.booleans()
    if pa.types.is_floating(dtype):
        width = 32 if pa.types.is_float32(dtype) else 64
        return st.floats(width=width) | st.sampled_from([0.0, -0.0, 1.5, float("nan")])
    if pa.types.is_decimal(dtype):
        limit = 10**dtype.precision - 1
        return st.integers(-limit, limit).map(lambda n: Decimal(n).scaleb(-dtype.scale))
    if pa.types.is_date(dtype):
        return st.dates()
    if pa.types.is_timestamp(dtype) or pa.types.is_duration(dtype):
        limit = {"s": 2**34, "ms": 2**44, "us": 2**53}[dtype.unit]  # some centuries: Python's years end at 9999
        return st.integers(-limit, limit) | st.integers(-3, 3)
    info = np.iinfo(dtype.to_pandas_dtype())
    low, high = int(info.min), min(int(info.max), 2**63 - 1)
    return st.integers(low, high) | st.integers(max(-3, low), 3)


def column(drawn: list[Any], dtype: pa.DataType) -> pa.Array:
    """Returns drawn values as a column; times were drawn as numbers of their unit."""
    if pa.types.is_timestamp(dtype) or pa.types.is_duration(dtype):
        return pa.array(drawn, pa.int64()).cast(dtype)
    return pa.array(drawn, dtype)


def seen(array: pa.Array, unit: str = "us") -> list[Any]:
    """Returns a column as plain numbers: scaled decimals, days, times in one unit; None where it is null."""
    dtype = array.type
    if pa.types.is_decimal(dtype):
        return [None if v is None else int(v.scaleb(dtype.scale)) for v in array.to_pylist()]
    if pa.types.is_date(dtype):
        return [None if v is None else (v - DAY).days for v in array.to_pylist()]
    if pa.types.is_timestamp(dtype) or pa.types.is_duration(dtype):
        factor = UNITS[unit] // UNITS[dtype.unit]
        return [None if v is None else v * factor for v in array.cast(pa.int64()).to_pylist()]
    return array.to_pylist()


def widest(dtype: pa.DataType) -> pa.DataType:
    """Returns the type in which a kernel declares to give such values back: times in microseconds."""
    if pa.types.is_timestamp(dtype):
        return pa.timestamp("us", tz=dtype.tz)
    return pa.duration("us") if pa.types.is_duration(dtype) else dtype


def array_type(dtype: pa.DataType) -> np.dtype:
    """Returns the type of the arrays that group kernels take."""
    if pa.types.is_boolean(dtype):
        return np.dtype(np.bool_)
    if pa.types.is_uint64(dtype):
        return np.dtype(np.uint64)
    return np.dtype(np.float64) if pa.types.is_floating(dtype) else np.dtype(np.int64)


def zero(dtype: pa.DataType) -> float | bool:
    """Returns the number of a type that a state begins with."""
    if pa.types.is_boolean(dtype):
        return False
    return 0.0 if pa.types.is_floating(dtype) else 0

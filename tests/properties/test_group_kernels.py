"""Group kernels over random tables equal the same functions called by plain Python, group by group."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

import checkrow as cr
from tests.profiles import drawing
from tests.properties.applied import check
from tests.properties.signatures import SIGNATURES, Types, widest, zero
from tests.properties.tables import tables


@cr.group_kernel(returns={"rows": pa.int64(), "total": pa.float64(), "last": pa.int16()})
def summary(x, y, *, factor=1.0):
    total = 0.0
    for i in range(len(y)):
        total += factor * y[i]
    return len(x), total, x[len(x) - 1] % 1000


@cr.group_kernel(returns={"rank": pa.int32(), "even": pa.bool_()}, shape="map")
def ranked(x, out):
    for i in range(len(x)):
        out.rank[i] = i
        out.even[i] = x[i] % 2 == 0


@cr.group_kernel(returns={"run": pa.float64()}, shape="map")
def running(y):
    return np.cumsum(y)


@cr.group_kernel(returns={"first": pa.int64(), "size": pa.int64()}, shape="expand")
def falls(x, out):
    n = 0
    for i in range(len(x)):
        if i == 0 or x[i] < x[i - 1]:
            out.first[n] = x[i]
            out.size[n] = 0
            n += 1
        out.size[n - 1] += 1
    return n


@cr.group_kernel(returns={"value": pa.int64()}, shape="expand", max_rows=200)
def doubled(z, z_valid, out):
    n = 0
    for i in range(len(z)):
        if z_valid[i]:
            out.value[n] = z[i]
            out.value[n + 1] = -z[i]
            n += 2
    return n


@cr.group_kernel(returns={"filled": pa.int64()}, nulls={"z": 100})
def filled(z):
    return z.sum()


KERNELS = [summary.bind(factor=0.5), ranked, running, falls, doubled, filled]


@cache
def typed(types: Types) -> list[Any]:
    """Returns kernels of every shape that take and give columns of some types."""
    return [ends_of(types), *maps_of(types), twice_of(types)]


def ends_of(types: Types) -> Any:
    @cr.group_kernel(
        returns={"first": widest(types.x), "last": widest(types.y), "falls": pa.int64(), "there": pa.int16(),
                 "top": widest(types.z)},
        decimals="scaled",
    )  # fmt: skip
    def ends(x, y, z, z_valid):
        falls, there, at = 0, 0, 0
        for i in range(len(x)):
            if i > 0 and x[i] < x[i - 1]:
                falls += 1
            if z_valid[i]:
                there += 1
                if not z_valid[at] or z[i] >= z[at]:
                    at = i
        return x[0], y[len(y) - 1], falls, there, z[at]

    return ends


def maps_of(types: Types) -> tuple[Any, Any]:
    @cr.group_kernel(
        returns={"x": widest(types.x), "y": widest(types.y)}, shape="map", nulls={"z": zero(types.z)}, decimals="scaled"
    )
    def turned(x, y, z, out):
        for i in range(len(x)):
            out.x[i] = x[len(x) - 1 - i]
            out.y[i] = y[i] if z[i] == z[0] else y[0]

    @cr.group_kernel(returns={"x": widest(types.x), "y": widest(types.y)}, shape="map", decimals="scaled")
    def given_back(x, y):
        return x[::-1], y

    return turned, given_back


def twice_of(types: Types) -> Any:
    @cr.group_kernel(returns={"i": pa.int32(), "z": widest(types.z)}, shape="expand", max_rows=120, decimals="scaled")
    def twice(z, z_valid, x, out):
        n = 0
        for i in range(len(z)):
            if z_valid[i] and x[i] == x[i]:
                for _ in range(2):
                    out.i[n] = i
                    out.z[n] = z[i]
                    n += 1
        return n

    return twice


def rows_of(kernel: Any, arrays: dict[str, Any], rows: int) -> list[tuple[Any, ...]]:
    """Returns the rows that the kernel's own Python function gives for one group."""
    spec = kernel.spec
    room = cr.outputs_for(kernel, spec.max_rows or rows)
    result = kernel(*[room if a == "out" else arrays[a] for a in spec.arguments])
    if spec.shape == "reduce":
        return [result if isinstance(result, tuple) else (result,)]
    if "out" not in spec.arguments:
        room = result if isinstance(result, tuple) else (result,)
    count = result if spec.shape == "expand" else rows
    return [tuple(a[i] for a in room) for i in range(count)]


@drawing(0.5)
@given(data=st.data(), kernel=st.sampled_from(KERNELS), table=tables())
def test_equals_plain_python(data, kernel, table, monkeypatch) -> None:
    check(kernel, rows_of, table, data, monkeypatch)


@drawing()
@given(data=st.data(), types=st.sampled_from(SIGNATURES))
def test_every_type_equals_plain_python(data, types, monkeypatch) -> None:
    kernel = data.draw(st.sampled_from(typed(types)))
    check(kernel, rows_of, data.draw(tables(types=types)), data, monkeypatch)

"""Batch kernels over random rows of all types: as if called in plain Python with one row at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given as draws
from hypothesis import strategies as st

import checkrow as cr
from checkrow import col
from checkrow.expressions.types import type_text
from checkrow.kernels.outputs import argument_dtype
from tests.profiles import drawing
from tests.properties.typed_rows import (
    SCHEMA,
    argument,
    argument_fill,
    collected,
    comparable,
    prepared,
    told,
    typed_tables,
)


@cr.batch_kernel(returns={"root": pa.float64(), "up": pa.bool_(), "low": pa.int16()}, nulls={"i64": 1, "f64": 4.0})
def roots(i64, f64):
    return np.sqrt(np.abs(f64)), i64 > 0, i64 & 1023


@cr.batch_kernel(
    returns={"sum": pa.int64(), "u": pa.uint64(), "x": pa.float32()}, nulls={"u64": 2**64 - 1, "flag": True}
)
def picked(i8, i8_valid, u64, flag, f32, f32_valid, out, *, step=1):
    for i in range(len(i8)):
        if i8_valid[i]:
            out.sum[i] = i8[i] * 2 + step
        if flag[i]:
            out.u[i] = u64[i]
        if f32_valid[i]:
            out.x[i] = f32[i]


@cr.batch_kernel(
    returns={"next": pa.date32(), "time": pa.timestamp("us"), "cents": pa.decimal128(12, 2)}, decimals="scaled",
    nulls={"day": 7, "at": 10**15, "amount": -1},
)  # fmt: skip
def times(day, at, amount):
    return day + 1, at - 1, amount * 3


@cr.batch_kernel(returns={"q": pa.int8(), "same": pa.int64()}, nulls={"i64": 40})
def picky(i8, i64):
    q = np.empty(len(i8), np.int64)
    for i in range(len(i8)):
        if i8[i] == 5:
            raise ValueError("five")
        q[i] = i64[i] // i8[i]
    return q, i64


@cr.row_kernel(returns={"v": pa.int64()})
def after(low, i64):
    return low - i64


@cr.batch_kernel(returns=pa.bool_(), nulls={"x": 0})
def odd(x):
    return (x & 1) == 1


KERNELS = [roots, picked, picked.bind(step=-4), times]


def one_by_one(kernel: Any, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns rows with the columns that the kernel's own function gives for arrays of one element."""
    spec, fills, made = kernel.spec, dict(kernel.spec.fills), []
    for row in rows:
        given = []
        for name in spec.arguments:
            source = name.removesuffix("_valid")
            if name == "out":
                given.append(cr.outputs_for(kernel, 1))
            elif name in spec.columns:
                value = argument(row[name], name)
                value = argument_fill(name, fills.get(name, 0)) if value is None else value
                given.append(np.array([value], argument_dtype(type_text(SCHEMA.field(name).type))))
            else:
                given.append(np.array([row[source] is not None]))
        with np.errstate(all="ignore"):
            result = kernel.function(*given, **dict(kernel.parameters))
        arrays = given[-1] if "out" in spec.arguments else result
        made.append(row | {f.name: told(a[0], f.dtype) for f, a in zip(spec.returns, arrays, strict=True)})
    return comparable(made)


@drawing()
@draws(data=st.data())
def test_equals_plain_python(data, monkeypatch) -> None:
    kernel = data.draw(st.sampled_from(KERNELS))
    table = data.draw(typed_tables(kernel.spec.columns))
    ds = prepared(data, table, monkeypatch).map(kernel)
    assert comparable(collected(data, ds, table)) == one_by_one(kernel, table.to_pylist())


@drawing()
@draws(data=st.data())
def test_what_stands_around_it(data, monkeypatch) -> None:
    """As a condition, between row kernels, inside a conditional, below an aggregate."""
    table = data.draw(typed_tables(("i64", "f64")))
    low = data.draw(st.integers(-2, 20))
    ds = prepared(data, table, monkeypatch).filter(odd(col("i64")) & (col("id") >= low)).map(roots).map(after)
    ds = ds.with_columns(c=cr.when(col("id") > 3).then(odd(col("low"))).otherwise(None))
    rows = [r for r in table.to_pylist() if (r["i64"] or 0) & 1 and r["id"] >= low]
    wanted = [
        r | {"v": r["low"] - r["i64"], "c": bool(r["low"] & 1) if r["id"] > 3 else None}
        for r in one_by_one(roots, rows)
    ]
    assert comparable(collected(data, ds, table)) == wanted
    sums = ds.group_by("up").agg(n=cr.count(), low=cr.sum("low")).collect().to_pylist()
    assert {r["up"]: (r["n"], r["low"]) for r in sums} == {
        up: (len(some), sum(r["low"] for r in some))
        for up in (True, False)
        if (some := [r for r in wanted if r["up"] == up])
    }


@drawing()
@draws(data=st.data())
def test_failing_rows_are_found_whatever_the_cut(data, monkeypatch) -> None:
    table = data.draw(typed_tables(("i8", "i64")))
    ds = prepared(data, table, monkeypatch).map(picky)
    wanted = []
    for row in table.to_pylist():
        i8, i64 = row["i8"], 40 if row["i64"] is None else row["i64"]
        bad = i8 in {None, 0, 5} or not -128 <= i64 // i8 <= 127
        wanted.append(row | {"q": None if bad else i64 // i8, "same": None if bad else i64})
    assert collected(data, ds, table, cr.BadRows("null")) == wanted

"""Expand kernels over random rows of all types: as if called row by row in plain Python, whatever stands around them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given as draws
from hypothesis import strategies as st

import checkrow as cr
from checkrow import col
from tests.profiles import drawing
from tests.properties.typed_rows import collected, comparable, given, prepared, told, typed_tables


@cr.expand_kernel(returns={"k": pa.int16(), "same": pa.uint64()}, max_rows=4)
def spread(i8, u64, out):
    n = i8 & 3
    for k in range(n):
        out.k[k] = k + i8
        if k != 1:
            out.same[k] = u64
    out.k[n] = 99  # not counted: the next row must not see it
    out.same[n] = u64
    return n


@cr.expand_kernel(
    returns={"x": pa.float32(), "y": pa.float64(), "set": pa.bool_()}, keep=["s", "id"], max_rows=3, nulls={"f64": -1.5}
)
def copies(f32, f64, flag, flag_valid, out, *, step=1.0):
    n = 1
    out.x[0] = f32
    out.y[0] = f64 + step
    if flag_valid:
        out.set[n] = flag
        out.y[n] = -f64
        n += 1
    return n


@cr.expand_kernel(
    returns={"next": pa.date32(), "time": pa.timestamp("us"), "cents": pa.decimal128(12, 2)}, decimals="scaled",
    max_rows=2,
)  # fmt: skip
def ends(day, at, amount, out):
    for k in range(2):
        out.next[k] = day + k
        out.time[k] = at - k
        out.cents[k] = amount * (1 - 2 * k)
    return 0 if amount == 0 else 2


@cr.expand_kernel(returns={"z": pa.int64()}, keep=["id", "s", "k"], max_rows=2)
def twice(k, out):
    out.z[0] = k
    out.z[1] = -k
    return 2 if k != 1 else 1


@cr.expand_kernel(returns={"q": pa.int8()}, keep=["id"], max_rows=2)
def picky(i8, i64, out):
    if i8 == 5:
        raise ValueError("five")
    out.q[0] = 1
    out.q[i8] = i64 // i8
    return i8 + 1


KERNELS = [spread, copies, copies.bind(step=0.25), ends]


def expanded(kernel: Any, rows: list[dict[str, Any]], keep: list[str]) -> list[dict[str, Any]]:
    """Returns what the kernel's own function makes of rows."""
    made = []
    for row in rows:
        args = given(kernel, row)
        out = cr.outputs_for(kernel, kernel.spec.max_rows)
        with np.errstate(all="ignore"):
            count = 0 if args is None else kernel.function(*args, out, **dict(kernel.parameters))
        for k in range(count):
            values = {f.name: told(getattr(out, f.name)[k], f.dtype) for f in kernel.spec.returns}
            made.append({n: row[n] for n in keep} | values)
    return comparable(made)


@drawing()
@draws(data=st.data())
def test_equals_plain_python(data, monkeypatch) -> None:
    kernel = data.draw(st.sampled_from(KERNELS))
    table = data.draw(typed_tables(kernel.spec.columns))
    ds = prepared(data, table, monkeypatch).map(kernel)
    keep = list(kernel.kept(table.column_names))
    assert comparable(collected(data, ds, table)) == expanded(kernel, table.to_pylist(), keep)


@drawing()
@draws(data=st.data())
def test_what_stands_around_it(data, monkeypatch) -> None:
    """Filters and columns below and above, a second kernel, aggregates and distinct keys of what comes out."""
    table = data.draw(typed_tables(("i8", "u64")))
    low, high, text = data.draw(st.integers(-3, 3)), data.draw(st.integers(-2, 4)), data.draw(st.sampled_from("ab"))
    rows = [r | {"i8": None if r["i8"] is None else r["i8"] >> 1} for r in table.to_pylist() if r["id"] > low]
    first = [r for r in expanded(spread, rows, table.column_names) if r["k"] <= high]
    second = expanded(twice, first, ["id", "s", "k"])
    wanted = [r | {"w": r["z"] * 2} for r in second if r["s"] is not None and r["s"] >= text]
    ds = prepared(data, table, monkeypatch).filter(col("id") > low).with_columns(i8=HALF(col("i8"), col("i8")))
    ds = ds.map(spread).filter(col("k") <= high).map(twice).filter(col("s") >= text).with_columns(w=col("z") * 2)
    assert collected(data, ds, table) == wanted
    monkeypatch.setattr("checkrow.run.physical.FUSE_ROWS", data.draw(st.sampled_from([0, 1 << 30])))
    found = collected(data, ds.group_by("s").agg(n=cr.count(), total=cr.sum("w"), k=cr.max("k")), table)
    assert {r["s"]: (r["n"], r["total"], r["k"]) for r in found} == {
        s: (len(some), sum(r["w"] for r in some), max(r["k"] for r in some))
        for s in {r["s"] for r in wanted}
        if (some := [r for r in wanted if r["s"] == s])
    }
    assert ds.group_by().agg(n=cr.count()).collect()["n"].to_pylist() == [len(wanted)]


@cr.row_kernel(returns=pa.int8(), nulls={"x": 0})
def halved(x, x_valid):
    return x >> 1


def HALF(x: cr.Expr, same: cr.Expr) -> Any:  # noqa: N802
    return cr.when(same.is_null()).then(None).otherwise(halved(x))


@drawing()
@draws(data=st.data())
def test_failures_give_no_rows_and_are_counted(data, monkeypatch) -> None:
    table = data.draw(typed_tables(("i8", "i64")))
    ds = prepared(data, table, monkeypatch).map(picky)
    wanted = []
    for row in table.to_pylist():
        i8, i64 = row["i8"], row["i64"]
        if i8 is None or i64 is None or i8 not in {-2, -1, 1}:
            continue
        q = i64 // i8
        if i8 == -1:
            continue  # says it wrote no rows
        if i8 == 1 and -128 <= q <= 127:
            wanted += [{"id": row["id"], "q": 1}, {"id": row["id"], "q": q}]
    found = collected(data, ds, table, cr.BadRows("null"))
    assert found == wanted

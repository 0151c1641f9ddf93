"""Row kernels that take nulls, by fills or validity, over random rows of all types: as if called in plain Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given as draws
from hypothesis import strategies as st

import checkrow as cr
from tests.profiles import drawing
from tests.properties.typed_rows import collected, comparable, given, prepared, told, typed_tables


@cr.row_kernel(
    returns={"sum": pa.int64(), "same": pa.uint64(), "there": pa.bool_()}, nulls={"i8": -7, "u64": 2**64 - 1}
)
def whole(i8, i8_valid, i64, u64):
    return i8 + (i64 >> 2), u64, i8_valid


@cr.row_kernel(returns={"x": pa.float32(), "y": pa.float64(), "n": pa.int8()}, nulls={"f64": float("nan"), "f32": 2})
def floats(f32, f64, flag, flag_valid, *, step=1):
    n = step
    if flag_valid:
        n += 1
    if flag:
        n += 1
    return f32, f64 + 0.5, n


@cr.row_kernel(
    returns={"next": pa.date32(), "time": pa.timestamp("us"), "cents": pa.decimal128(12, 2)}, decimals="scaled",
    nulls={"day": 10_000},
)  # fmt: skip
def times(day, at, at_valid, amount):
    return day + 1, at + 1 if at_valid else -1, amount * 3


@cr.row_kernel(returns={"q": pa.int64(), "v": pa.bool_()}, nulls={"i8": 0})
def shares(i64, i64_valid, i8):
    if i8 == 3 and not i64_valid:
        raise ValueError("three")
    return i64 // i8, i64_valid


KERNELS = [whole, floats, floats.bind(step=3), times]


def rows_of(kernel: Any, table: pa.Table) -> list[dict[str, Any]]:
    """Returns the rows with the columns that the kernel's own function gives."""
    out = []
    for row in table.to_pylist():
        args = given(kernel, row)
        results: Any = [None] * len(kernel.spec.returns)
        if args is not None:
            with np.errstate(all="ignore"):
                results = [
                    told(v, f.dtype)
                    for v, f in zip(kernel.function(*args, **dict(kernel.parameters)), kernel.spec.returns, strict=True)
                ]
        out.append(row | {f.name: v for f, v in zip(kernel.spec.returns, results, strict=True)})
    return comparable(out)


@drawing()
@draws(data=st.data())
def test_equals_plain_python(data, monkeypatch) -> None:
    kernel = data.draw(st.sampled_from(KERNELS))
    table = data.draw(typed_tables(kernel.spec.columns))
    ds = prepared(data, table, monkeypatch).map(kernel)
    assert comparable(collected(data, ds, table)) == rows_of(kernel, table)


@drawing()
@draws(data=st.data())
def test_failures_become_null_and_fills_do_not(data, monkeypatch) -> None:
    table = data.draw(typed_tables(("i8", "i64")))
    ds = prepared(data, table, monkeypatch).map(shares)
    found = collected(data, ds, table, cr.BadRows("null"))
    for row in found:
        i8, i64 = row["i8"] or 0, row["i64"]
        bad = i8 == 0 or (i8 == 3 and i64 is None)
        assert (row["q"], row["v"]) == ((None, None) if bad else ((i64 or 0) // i8, i64 is not None))
    assert [r["id"] for r in found] == table["id"].to_pylist()


@cr.row_kernel(returns=pa.int64(), nulls="forbid")
def strict(i8, i64, i64_valid):
    return i8 + i64 + (100 if i64_valid else 200)


def test_a_plain_call_follows_the_same_rules() -> None:
    assert whole(None, 8, None) == (-5, 2**64 - 1, False)
    assert whole(1, None, 5) == (None, None, None)
    assert whole(1, False, 8, 5) == (3, 5, False)
    assert strict(1, None) == 201
    assert strict(1, 2) == 103
    with pytest.raises(cr.errors.KernelRowError, match="'strict' forbids nulls but 'i8' is None; give nulls="):
        strict(None, 2)


def test_as_an_expression_it_takes_columns_only(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": pa.array([1, None], pa.int8()), "b": pa.array([None, 5])}), tmp_path / "t.parquet")
    ds = cr.scan(str(tmp_path / "t.parquet"))
    assert ds.select(y=strict(cr.lit(1), cr.col("b"))).collect()["y"].to_pylist() == [201, 106]
    with pytest.raises(
        cr.errors.KernelRowError, match=r"row 1: kernel 'strict' .* one of its arguments \(i8\) is null"
    ):
        ds.select(y=strict(cr.col("a"), cr.col("b"))).collect()
    assert ds.select(y=strict(cr.lit(1), cr.col("b"))).schema.field("y").nullable is False


@pytest.mark.parametrize(
    ("nulls", "what"),
    [
        ({"i9": 1}, r"nulls= names 'i9', which is none of \['i8', 'i64'\]"),
        ({"i8": [1]}, "a number or a text can stand in for null"),
        ("skip", "nulls='skip' is not one of 'propagate', 'forbid'"),
    ],
)
def test_rules_that_cannot_be_meant(nulls: Any, what: str) -> None:
    with pytest.raises(cr.errors.PlanError, match=what):
        cr.row_kernel(returns=pa.int64(), nulls=nulls)(strict.function)


@pytest.mark.parametrize(
    ("fill", "dtype", "what"),
    [
        (1.5, pa.int8(), "gives 1.5 for column 'a', which is int8; give a whole number"),
        (True, pa.int64(), "gives True for column 'a', which is int64; give a whole number"),
        (1, pa.bool_(), "gives 1 for column 'a', which is bool; give True or False"),
        (-1, pa.uint64(), "give a whole number from 0 to 18446744073709551615"),
        (2**63, pa.int16(), "a whole number from -9223372036854775808 to"),
        (0.5, pa.date32(), "give a whole number"),
    ],
)
def test_fills_that_are_no_values_of_the_column(tmp_path: Path, fill: Any, dtype: pa.DataType, what: str) -> None:
    @cr.row_kernel(returns=pa.bool_(), nulls={"a": fill})
    def there(a, a_valid):
        return a_valid

    pq.write_table(pa.table({"a": pa.array([None], dtype)}), tmp_path / "t.parquet")
    with pytest.raises(cr.errors.KernelTypeError, match=f"kernel 'there', argument 'a': nulls= .*{what}"):
        cr.scan(str(tmp_path / "t.parquet")).map(there)


def test_a_fill_may_lie_beyond_a_narrow_column(tmp_path: Path) -> None:
    # Whole numbers arrive as int64: a fill that no int8 is marks the null.
    @cr.row_kernel(returns=pa.int64(), nulls={"a": 1_000})
    def marked(a):
        return a

    pq.write_table(pa.table({"a": pa.array([None, 1], pa.int8())}), tmp_path / "t.parquet")
    assert cr.scan(str(tmp_path / "t.parquet")).map(marked).collect()["marked"].to_pylist() == [1_000, 1]

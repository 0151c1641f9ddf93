"""Random tables and their plain-Python grouping: what every kind of kernel is compared with."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from tests.properties.signatures import Types, column, values

TYPES = {
    "i": pa.int64(),
    "s": pa.string(),
    "f": pa.float64(),
    "d": pa.date32(),
    "t": pa.timestamp("us"),
    "b": pa.bool_(),
    "n": pa.int16(),
}
_VALUES = {
    "i": st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3),
    "s": st.text(max_size=9) | st.sampled_from(["", "a", "b", "ab"]),
    "f": st.floats() | st.sampled_from([0.0, -0.0, math.nan, math.inf, 1.5]),
    "d": st.dates(),
    "t": st.datetimes(),
    "b": st.booleans(),
    "n": st.integers(-(2**15), 2**15 - 1),
}


@st.composite
def tables(draw: st.DrawFn, key_kinds: str = "isfdb", max_rows: int = 60, types: Types | None = None) -> pa.Table:
    """Draws rows with two nullable keys of few values, two nullable order columns of any type, and three values.

    Of the values `z` is nullable; `types` are those of all three. Any nullable column may be all null.
    """
    rows = draw(st.integers(0, max_rows))
    columns: dict[str, Any] = {}
    for name in ("k1", "k2"):
        kind = draw(st.sampled_from(key_kinds))
        pool = draw(st.lists(_VALUES[kind], min_size=1, max_size=4))
        columns[name] = pa.array(draw(_nullable(st.sampled_from([None, *pool]), rows)), TYPES[kind])
    for name in ("o1", "o2"):
        kind = draw(st.sampled_from("".join(TYPES)))
        columns[name] = pa.array(draw(_nullable(st.none() | _VALUES[kind], rows)), TYPES[kind])
    if types is not None:
        for name, dtype in zip("xy", types, strict=False):
            columns[name] = column(draw(_rows(values(dtype), rows)), dtype)
        columns["z"] = column(draw(_nullable(st.none() | values(types.z), rows)), types.z)
        return pa.table(columns)
    columns["x"] = pa.array(draw(_rows(st.integers(-(2**31), 2**31), rows)), pa.int64())
    columns["y"] = pa.array(draw(_rows(st.floats(-1e6, 1e6), rows)), pa.float64())
    columns["z"] = pa.array(draw(_rows(st.none() | st.integers(-9, 9), rows)), pa.int32())
    return pa.table(columns)


def _rows(some: st.SearchStrategy[Any], rows: int) -> st.SearchStrategy[list[Any]]:
    return st.lists(some, min_size=rows, max_size=rows)


def _nullable(some: st.SearchStrategy[Any], rows: int) -> st.SearchStrategy[list[Any]]:
    """Draws values that may be null; one table in ten has nothing but nulls."""
    return st.integers(0, 9).flatmap(lambda n: st.just([None] * rows) if n == 9 else _rows(some, rows))


def orders() -> st.SearchStrategy[tuple[tuple[str, bool], ...]]:
    """Draws by which columns rows are ordered, and whether each descends."""
    return st.lists(st.tuples(st.sampled_from(["o1", "o2", "x"]), st.booleans()), max_size=3).map(tuple)


def same_key(value: Any) -> Any:
    """Returns a key in the form in which equal keys are equal: one zero, one NaN."""
    if isinstance(value, float):
        return "nan" if math.isnan(value) else value + 0.0
    return value


def groups(rows: list[dict[str, Any]], keys: tuple[str, ...]) -> dict[tuple[Any, ...], list[dict[str, Any]]]:
    """Returns rows by key, in the order they stand."""
    out: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        out.setdefault(tuple(same_key(row[k]) for k in keys), []).append(row)
    return out


def ordered(rows: list[dict[str, Any]], by: tuple[tuple[str, bool], ...]) -> list[dict[str, Any]]:
    """Returns rows in an order: nulls last either way, NaN greatest, text by its bytes, ties as they stand."""
    out = list(rows)
    for name, descending in reversed(by):
        there = [(_rank(r[name]), r) for r in out if r[name] is not None]
        gone = [r for r in out if r[name] is None]
        # Ties stay in their order, reversed or not.
        out = [r for _, r in sorted(there, key=lambda p: p[0], reverse=descending)] + gone
    return out


def _rank(value: Any) -> Any:
    if isinstance(value, float):
        return (1, 0.0) if math.isnan(value) else (0, value)
    return value.encode() if isinstance(value, str) else value

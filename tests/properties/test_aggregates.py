"""Aggregators and built-in aggregates over random tables equal plain Python, group by group."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import checkrow as cr
from checkrow.operators.partial import PartialAggregate
from tests.profiles import drawing, most
from tests.properties.cuts import scanned, threads
from tests.properties.signatures import SIGNATURES, Types, seen, widest, zero
from tests.properties.tables import groups, same_key, tables


@cr.aggregator(returns=pa.bool_())
class Rising:
    def init():
        return float("inf"), float("-inf"), True

    def update(state, y):
        first, last, ok = state
        return min(first, y), y, ok and y >= last

    def merge(state, other):
        return min(state[0], other[0]), other[1], state[2] and other[2] and state[1] <= other[0]

    def finish(state):
        return state[2]


@cr.aggregator(returns=pa.int64())
class Above:
    def init():
        return 0

    def update(state, z, *, limit):
        return state + (1 if z > limit else 0)

    def merge(state, other):
        return state + other

    def finish(state):
        return state


@cr.aggregator(returns=pa.float64())
class Weighted:
    def init():
        return 0, 0, 0

    def update(state, x, z):
        return state[0] + x * z, state[1] + abs(z), max(state[2], x)

    def merge(state, other):
        return state[0] + other[0], state[1] + other[1], max(state[2], other[2])

    def finish(state):
        if state[1] == 0:
            return 0.5
        return state[0] / state[1] + state[2]


CAN_FUSE = PartialAggregate._can_fuse
AGGREGATORS = [(Rising, ("y",)), (Above.bind(limit=2), ("z",)), (Weighted, ("x", "z"))]


@cache
def typed(types: Types) -> tuple[Any, Any]:
    """Returns aggregators whose states hold numbers of some types; both depend on the order of rows and slices."""

    @cr.aggregator(returns=pa.int64(), decimals="scaled")
    class Falls:
        def init():
            return 0, zero(types.x), zero(types.x), 0

        def update(state, x, z):
            n, first, last, falls = state
            if n == 0:
                first = x
            elif x < last:
                falls += 1
            return n + 1, first, x, falls

        def merge(state, other):
            if other[0] == 0 or state[0] == 0:
                return other if state[0] == 0 else state
            falls = state[3] + other[3] + (1 if other[1] < state[2] else 0)
            return state[0] + other[0], state[1], other[2], falls

        def finish(state):
            return state[3] * 1000 + state[0]

    @cr.aggregator(returns=widest(types.y), decimals="scaled")
    class Latest:
        def init():
            return False, zero(types.y)

        def update(state, y, z):
            return True, y

        def merge(state, other):
            return other if other[0] else state

        def finish(state):
            return state[1]

    return Falls, Latest


def grouped(
    data: st.DataObject, monkeypatch: Any, types: Types | None = None
) -> tuple[cr.Dataset, pa.Table, tuple[str, ...]]:
    """Draws a table, the way it is stored and read, and keys."""
    # Every combination of key types is another fused driver: with it on, few of them.
    fused = data.draw(st.booleans())
    table = data.draw(tables(key_kinds="i" if fused else "isfdb", types=types))
    keys = tuple(data.draw(st.lists(st.sampled_from(["k1", "k2"]), unique=True, max_size=1 if fused else 2)))
    monkeypatch.setattr("checkrow.run.physical.FUSE_ROWS", 0)
    monkeypatch.setattr("checkrow.operators.partial.PartialAggregate._can_fuse", CAN_FUSE if fused else lambda _: False)
    monkeypatch.setattr("checkrow.operators.preaggregate.MOST_GROUPS", data.draw(st.sampled_from([1, 1 << 16])))
    return scanned(data, monkeypatch, table), table, keys


def by_key(rows: list[dict[str, Any]], keys: tuple[str, ...]) -> dict[Any, dict[str, Any]]:
    """Returns result rows by key."""
    return {tuple(repr(same_key(r[k])) for k in keys): {n: v for n, v in r.items() if n not in keys} for r in rows}


@drawing()
@given(data=st.data())
def test_aggregators_equal_plain_python(data, monkeypatch) -> None:
    ds, table, keys = grouped(data, monkeypatch)
    chosen = data.draw(st.sampled_from([[0], [1], [2, 1]]))
    calls = {f"a{n}": AGGREGATORS[n][0](*AGGREGATORS[n][1]) for n in chosen}
    rows = ds.group_by(*keys).agg(**calls).collect(limits=threads(data)).to_pylist()
    wanted = {}
    members = groups(table.to_pylist(), keys) or ({} if keys else {(): []})
    for key, some in members.items():
        values = {}
        for n in chosen:
            own, columns = AGGREGATORS[n]
            there = [r for r in some if all(r[c] is not None for c in columns)]
            values[f"a{n}"] = own(*([r[c] for r in there] for c in columns)) if there else None
        wanted[tuple(repr(k) for k in key)] = values
    assert by_key(rows, keys) == wanted


@drawing()
@given(data=st.data(), types=st.sampled_from(SIGNATURES[: most(3, 30)]))
def test_aggregators_of_every_type_equal_plain_python(data, types, monkeypatch) -> None:
    ds, table, keys = grouped(data, monkeypatch, types)
    falls, latest = typed(types)
    result = ds.group_by(*keys).agg(falls=falls("x", "z"), latest=latest("y", "z")).collect(limits=threads(data))
    given_keys = zip(*(result[k].to_pylist() for k in keys), strict=True) if keys else [()] * result.num_rows
    outputs = zip(seen(result["falls"].combine_chunks()), seen(result["latest"].combine_chunks()), strict=True)
    found = {tuple(repr(same_key(v)) for v in key): repr(out) for key, out in zip(given_keys, outputs, strict=True)}
    columns = [seen(table[name].combine_chunks()) for name in "xyz"]
    numbered = [{**row, "#": i} for i, row in enumerate(table.to_pylist())]
    wanted = {}
    for key, members in (groups(numbered, keys) or ({} if keys else {(): []})).items():
        x, y, z = ([c[r["#"]] for r in members if columns[2][r["#"]] is not None] for c in columns)
        wanted[tuple(map(repr, key))] = repr((falls(x, z), latest(y, z)) if z else (None, None))
    assert found == wanted


def kept(rows: list[dict[str, Any]], column: str) -> list[Any]:
    """Returns the values of a column that are not null."""
    return [r[column] for r in rows if r[column] is not None]


def ordered(rows: list[dict[str, Any]], column: str) -> list[dict[str, Any]]:
    """Returns rows by a column, NaN after all numbers and nulls after all values; ties as they were."""
    there = sorted((r for r in rows if r[column] is not None), key=lambda r: rank(r[column]))
    return there + [r for r in rows if r[column] is None]


def rank(value: Any) -> Any:
    """Returns what orders values as the engine does: text by its bytes, NaN last, both zeros equal."""
    if isinstance(value, str):
        return value.encode()
    return (math.isnan(value), 0.0 if math.isnan(value) else value + 0.0) if isinstance(value, float) else value


def last_by(rows: list[dict[str, Any]], column: str) -> dict[str, Any]:
    there = [r for r in rows if r[column] is not None]
    return max(enumerate(there), key=lambda p: (rank(p[1][column]), p[0]))[1] if there else rows[-1]


def quantile(values: list[Any], q: float) -> float | None:
    return float(np.quantile(np.array(values, np.float64), q)) if values else None


def spread(values: list[Any], ddof: int) -> float | None:
    return float(np.var(np.array(values, np.float64), ddof=ddof)) if len(values) > ddof else None


BUILT_IN: dict[str, tuple[Any, Any]] = {
    "count": (cr.count("z"), lambda rows: len(kept(rows, "z"))),
    "sum": (cr.sum("z"), lambda rows: sum(kept(rows, "z")) if kept(rows, "z") else None),
    "count_distinct": (cr.count_distinct("o1"), lambda rows: len({repr(same_key(v)) for v in kept(rows, "o1")})),
    "other_distinct": (cr.count_distinct("z"), lambda rows: len(set(kept(rows, "z")))),
    "min": (cr.min("o1"), lambda rows: min(kept(rows, "o1"), key=rank, default=None)),
    "max": (cr.max("o2"), lambda rows: max(kept(rows, "o2"), key=rank, default=None)),
    "first": (cr.first("o2", order_by="o1"), lambda rows: ordered(rows, "o1")[0]["o2"] if rows else None),
    "last": (cr.last("o1", order_by="o2"), lambda rows: last_by(rows, "o2")["o1"] if rows else None),
    "median": (cr.median("z"), lambda rows: quantile(kept(rows, "z"), 0.5)),
    "quantile": (cr.quantile("y", 0.3), lambda rows: quantile(kept(rows, "y"), 0.3)),
    "var": (cr.var("y"), lambda rows: spread(kept(rows, "y"), 1)),
    "std": (cr.std("z", ddof=0), lambda rows: math.sqrt(spread(kept(rows, "z"), 0)) if kept(rows, "z") else None),
}


@drawing()
@given(data=st.data())
def test_built_in_aggregates_equal_plain_python(data, monkeypatch) -> None:
    ds, table, keys = grouped(data, monkeypatch)
    chosen = data.draw(st.lists(st.sampled_from(sorted(BUILT_IN)), min_size=1, max_size=4, unique=True))
    query = ds.group_by(*keys).agg(**{name: BUILT_IN[name][0] for name in chosen})
    found = by_key(query.collect(limits=threads(data)).to_pylist(), keys)
    members = groups(table.to_pylist(), keys) or ({} if keys else {(): []})
    assert set(found) == {tuple(repr(k) for k in key) for key in members}
    for key, rows in members.items():
        for name in chosen:
            mine, wanted = found[tuple(repr(k) for k in key)][name], BUILT_IN[name][1](rows)
            if name in {"quantile", "var", "std"} and wanted is not None:
                assert mine == pytest.approx(wanted, rel=1e-9, abs=1e-9)
            else:
                assert repr(same_key(mine)) == repr(same_key(wanted))

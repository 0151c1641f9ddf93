"""Aggregators and built-in aggregates over random tables equal plain Python, group by group."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import checkrow as cr
from checkrow.operators.partial import PartialAggregate
from tests.conftest import EXAMPLES
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


def grouped(data: st.DataObject, monkeypatch: Any) -> tuple[pa.Table, tuple[str, ...]]:
    """Draws a table, keys, and how the table is cut; writes the table to `t.parquet`."""
    # Every combination of key types is another fused driver: with it on, few of them.
    fused = data.draw(st.booleans())
    table = data.draw(tables(key_kinds="i" if fused else "isfdb"))
    keys = tuple(data.draw(st.lists(st.sampled_from(["k1", "k2"]), unique=True, max_size=1 if fused else 2)))
    monkeypatch.setattr("checkrow.plan.slices.PARTITION_ROWS", data.draw(st.sampled_from([1, 7, 1 << 18])))
    monkeypatch.setattr("checkrow.storage.parquet.ROWS", data.draw(st.sampled_from([1, 3, 131_072])))
    monkeypatch.setattr("checkrow.plan.slices.FLOOR_BYTES", data.draw(st.sampled_from([1, 4 << 20])))
    monkeypatch.setattr("checkrow.run.physical.FUSE_ROWS", 0)
    monkeypatch.setattr("checkrow.operators.partial.PartialAggregate._can_fuse", CAN_FUSE if fused else lambda _: False)
    monkeypatch.setattr("checkrow.operators.preaggregate.MOST_GROUPS", data.draw(st.sampled_from([1, 1 << 16])))
    pq.write_table(table, "t.parquet", row_group_size=data.draw(st.sampled_from([1, 10, 1000])))
    return table, keys


def by_key(rows: list[dict[str, Any]], keys: tuple[str, ...]) -> dict[Any, dict[str, Any]]:
    """Returns result rows by key."""
    return {tuple(repr(same_key(r[k])) for k in keys): {n: v for n, v in r.items() if n not in keys} for r in rows}


CASES = settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@CASES
@given(data=st.data())
def test_aggregators_equal_plain_python(data, monkeypatch) -> None:
    table, keys = grouped(data, monkeypatch)
    chosen = data.draw(st.sampled_from([[0], [1], [2, 1]]))
    calls = {f"a{n}": AGGREGATORS[n][0](*AGGREGATORS[n][1]) for n in chosen}
    found = cr.scan("t.parquet").group_by(*keys).agg(**calls)
    rows = found.collect(limits=cr.Limits(threads=data.draw(st.integers(1, 4)))).to_pylist()
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

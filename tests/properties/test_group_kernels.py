"""Group kernels over random tables equal the same functions called by plain Python, group by group."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import checkrow as cr
from checkrow import col
from tests.conftest import EXAMPLES
from tests.properties.tables import groups, ordered, same_key, tables


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


def plainly(kernel: Any, table: pa.Table, keys: tuple[str, ...], by: tuple[tuple[str, bool], ...]) -> list[Any]:
    """Returns (key, outputs...) rows as the kernel's own Python function gives them."""
    spec = kernel.spec
    out = []
    for key, members in groups(table.to_pylist(), keys).items():
        rows = ordered(members, by)
        fills = dict(spec.fills)
        arrays: dict[str, Any] = {}
        for name in spec.columns:
            dtype = np.dtype({"x": "i8", "y": "f8", "z": "i4"}[name])
            arrays[name] = np.array([fills.get(name, 0) if r[name] is None else r[name] for r in rows], dtype)
            arrays[f"{name}_valid"] = np.array([r[name] is not None for r in rows])
        room = cr.outputs_for(kernel, spec.max_rows or len(rows))
        given = [room if a == "out" else arrays[a] for a in spec.arguments]
        result = kernel(*given)
        if spec.shape == "reduce":
            out.append((key, *(result if isinstance(result, tuple) else (result,))))
            continue
        if "out" not in spec.arguments:
            room = (result,)
        count = result if spec.shape == "expand" else len(rows)
        out += [(key, *(a[i].item() for a in room)) for i in range(count)]
    return out


def comparable(rows: list[Any]) -> dict[str, list[Any]]:
    """Returns output rows by key, in order, with NaN equal to itself."""
    found: dict[str, list[Any]] = {}
    for key, *values in rows:
        plain = [repr(v) if isinstance(v, float) and math.isnan(v) else v for v in values]
        found.setdefault(repr(key), []).append(plain)
    return found


@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_equals_plain_python(data, monkeypatch) -> None:
    kernel = data.draw(st.sampled_from(KERNELS))
    table = data.draw(tables())
    keys = tuple(data.draw(st.lists(st.sampled_from(["k1", "k2"]), unique=True, max_size=2)))
    by = tuple(data.draw(st.lists(st.tuples(st.sampled_from(["o1", "o2", "x"]), st.booleans()), max_size=3)))
    monkeypatch.setattr("checkrow.plan.slices.PARTITION_ROWS", data.draw(st.sampled_from([1, 7, 1 << 18])))
    monkeypatch.setattr("checkrow.storage.parquet.ROWS", data.draw(st.sampled_from([1, 3, 131_072])))
    monkeypatch.setattr("checkrow.plan.slices.FLOOR_BYTES", data.draw(st.sampled_from([1, 4 << 20])))
    pq.write_table(table, "t.parquet", row_group_size=data.draw(st.sampled_from([1, 10, 1000])))
    order = [col(name).desc() if descending else name for name, descending in by]
    found = cr.scan("t.parquet").group_by(*keys).apply(kernel, order_by=order)
    rows = found.collect(limits=cr.Limits(threads=data.draw(st.integers(1, 4)))).to_pylist()
    width = len(keys)
    mine = [(tuple(same_key(v) for v in list(r.values())[:width]), *list(r.values())[width:]) for r in rows]
    assert comparable(mine) == comparable(plainly(kernel, table, keys, by))

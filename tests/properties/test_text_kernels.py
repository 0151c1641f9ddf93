"""Kernels over texts equal the same functions called by plain Python: rows, groups, folds, expansions, aggregates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import checkrow as cr
from checkrow.compile.cache import driver_cache
from checkrow.expressions.types import Field, type_text
from checkrow.expressions.typing import resolve
from checkrow.operators.bad_rows import BadRowKeeper
from checkrow.operators.batch import Batch, Origin
from checkrow.operators.rows import RowPipeline
from checkrow.operators.strings import StringTable
from checkrow.plan.bad_rows import NULL
from tests.profiles import drawing
from tests.properties.tables import groups

NULLS = cr.BadRows("null")
WORDS = ["", "a", "ab", "aa", "héé", "\x00", "a\x00b", "12", "-7", "1.5", "9" * 20, "ß" * 30, "key=value", "=", "€"]
TEXTS = st.text(max_size=9) | st.sampled_from(WORDS)
DATA = st.binary(max_size=12) | st.sampled_from([b"", b"\xff", b"a", b"\x00\xfe" * 9]) | TEXTS.map(str.encode)
LAYOUTS = [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())]


@cr.row_kernel(returns={"cut": pa.binary(), "at": pa.int32(), "same": pa.bool_(), "order": pa.int8(), "h": pa.int64()})
def looked_at(s, b, x):
    at = s.find("=")
    cut = b.slice(x % 5, -1) if x > 0 else s.slice(at + 1)
    return cut, at, s == b or s.startswith("a"), s.compare(b), cut.hash()


@cr.row_kernel(returns={"number": pa.int64(), "real": pa.float64()})
def numbers(s):
    real = s.to_float()
    return s.to_int(), real


@cr.row_kernel(returns={"head": pa.string(), "kind": pa.string()})
def heads(s, x):
    """Fails where it cuts a character in two."""
    kind = "empty" if len(s) == 0 else "€" if s.contains("a") else s
    return s.slice(0, x % 3), kind


@cr.row_kernel(returns=pa.bool_())
def wanted(s):
    return s < "b" or s.contains("é")


@cr.row_kernel(returns={"either": pa.binary(), "there": pa.bool_()}, nulls={"s": "", "b": b"\xff-"})
def either(s, s_valid, b):
    """Is called on nulls too."""
    return (b if s < "b" else s), s_valid


@cr.expand_kernel(
    returns={"at": pa.int64(), "first": pa.int16(), "before": pa.string(), "last": pa.binary()},
    keep=["s", "b"],
    max_rows=200,
    nulls={"b": "?"},
)
def places(s, b, out):
    n = 0
    for i in range(len(b)):
        if s.contains(b.slice(i, i + 1)):
            out.at[n] = s.find(b.slice(i, i + 1))
            out.first[n] = b[i]
            out.before[n] = "overwritten"
            out.before[n] = s if i % 2 else "€"
            out.last[max(n - 1, 0)] = b.slice(i) if i % 3 else s.slice(0, out.at[n])
            n += 1
    return n


@cr.batch_kernel(returns={"n": pa.int64(), "same": pa.bool_()}, nulls={"s": "zz"})
def sizes(s, b, b_valid):
    n = np.zeros(len(s), np.int64)
    same = np.zeros(len(s), np.bool_)
    for i in range(len(s)):
        n[i] = len(s[i]) + (len(b[i]) if b_valid[i] else -1)
        same[i] = s[i] == b[i]
    return n, same


@cr.fold_kernel(
    returns={"longest": pa.int64(), "rest": pa.binary(), "word": pa.string()}, nulls={"s": "(null)", "b": ""}
)  # fmt: skip
class Longest:
    def init():
        return 0

    def step(state, s, b, b_valid):
        state = max(state, len(s) if s >= "b" else len(b))
        return state, (state, b.slice(1), s if b_valid else "none")


@cr.group_kernel(returns={"least": pa.string(), "last": pa.binary(), "n": pa.int64()}, nulls={"s": "(null)"})
def extremes(s, b, b_valid):
    least = s[0]
    n = 0
    for i in range(len(s)):
        if s[i] < least:
            least = s[i]
        if b_valid[i]:
            n += len(b[i])
    return least, b[-1], n


@cr.group_kernel(returns={"turned": pa.binary(), "n": pa.int16()}, shape="map", nulls={"b": b"\xff\xff"})
def turned(b, out):
    for i in range(len(b)):
        out.turned[i] = "overwritten or left alone"
        out.n[i] = len(out.turned[len(b) - 1 - i])
    for i in range(1, len(b)):
        out.turned[len(b) - 1 - i] = b[i].slice(0, 20)


@cr.group_kernel(returns={"byte": pa.binary(), "text": pa.string()}, shape="expand", nulls={"s": "a"}, max_rows=4000)
def spread(s, b, b_valid, out):
    n = 0
    for i in range(len(s)):
        for j in range(len(b[i])):
            out.text[n] = s[i]
            out.byte[n] = b[i].slice(j, j + 1)
            n += 1
    return n


@cr.aggregator(returns=pa.int64())
class Hashes:
    def init():
        return 0, 0

    def update(state, s, b):
        return state[0] + len(s) * (1 if s >= b else -1), state[1] ^ (b.hash() % 1000)

    def merge(state, other):
        return state[0] + other[0], state[1] ^ other[1]

    def finish(state):
        return 1000 * state[0] + state[1]


SIZES = st.fixed_dictionaries(
    {
        "storage.parquet.ROWS": st.sampled_from([1, 3, 131_072]),
        "plan.slices.FLOOR_BYTES": st.sampled_from([1, 4 << 20]),
        "operators.written._TEXT_BYTES": st.sampled_from([0, 8]),
        "operators.groups._CAPACITY": st.sampled_from([1, 50]),
    }
)


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    rows = draw(st.integers(0, 40))

    def column(values: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(values, min_size=rows, max_size=rows))

    # A column of nulls alone, one without any, and one with some.
    null = draw(st.sampled_from([st.nothing(), st.none(), st.none()]))
    texts = draw(st.sampled_from([null | TEXTS, st.none(), TEXTS]))
    return pa.table(
        {
            "s": pa.array(column(texts), pa.string()),
            "b": pa.array(column(st.none() | DATA), pa.binary()),
            "x": pa.array(column(st.none() | st.integers(-9, 9)), pa.int64()),
            "k": pa.array(column(st.none() | st.sampled_from(WORDS[:4])), pa.string()),
        }
    )


def plainly(kernel: Any, row: dict[str, Any]) -> tuple[Any, ...]:
    """Returns what the kernel's own Python function gives for a row: nulls where an argument is null or it fails."""
    nothing = (None,) * len(kernel.spec.returns)
    try:
        found = kernel(*(row[c] for c in kernel.spec.columns))
    except ValueError:
        return nothing
    values = found if isinstance(found, tuple) else (found,)
    return tuple(v.item() if isinstance(v, np.generic) else v for v in values)


def typed(schema: pa.Schema) -> tuple[Field, ...]:
    return tuple(Field(f.name, type_text(f.type)) for f in schema)


@pytest.fixture(params=["fused", "vectorised"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "vectorised":
        monkeypatch.setattr("checkrow.operators.fuse.RangeProof.holds", lambda *_: False)


@drawing(0.5)
@given(tables(), st.sampled_from(LAYOUTS), st.integers(1, 41), st.booleans())
def test_row_kernels(way: None, table: pa.Table, layout: pa.DataType, cut: int, coded: bool) -> None:
    fields = typed(table.schema)
    rows = table.to_pylist()
    layouts = table.set_column(0, "s", table["s"].cast(layout))
    kernels = (looked_at, numbers, heads, either)
    outputs = tuple((name, resolve(node, fields)) for k in kernels for name, node in k.outputs())
    condition = resolve(wanted(cr.col("s")).node, fields)
    for conditions, some in (((), rows), ((condition,), [r for r in rows if plainly(wanted, r)[0]])):
        pipeline = RowPipeline(conditions, outputs, driver_cache(), BadRowKeeper(NULL), fused=True)
        coding = {"s": StringTable()} if coded else {}
        found: list[Any] = []
        for first in range(0, table.num_rows, cut):
            for raw in layouts.slice(first, cut).combine_chunks().to_batches():
                batch = Batch(raw, coding, {f.name: f.dtype for f in fields}, Origin("here"), first)
                found += [tuple(r.values()) for r in pipeline.run(batch).to_pylist()]
        assert repr(found) == repr([tuple(v for k in kernels for v in plainly(k, r)) for r in some])


def grouped(kernel: Any, rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Returns (key, outputs...) as the kernel's own Python function gives them."""
    out: list[tuple[Any, ...]] = []
    spec = kernel.spec
    fills = dict(spec.text_fills)
    for key, some in groups(rows, ("k",)).items():
        arrays: dict[str, Any] = {f"{c}_valid": [r[c] is not None for r in some] for c in "sb"}
        arrays |= {c: [fills.get(c, b"") if r[c] is None else r[c] for r in some] for c in "sb"}
        if kernel is Longest:
            out += [(*key, *values) for values in zip(*kernel(*(arrays[a] for a in spec.arguments)), strict=True)]
            continue
        room = cr.outputs_for(kernel, kernel.spec.max_rows or len(some))
        result = kernel(*(room if a == "out" else arrays[a] for a in kernel.spec.arguments))
        if kernel.spec.shape == "reduce":
            out.append((*key, *result))
            continue
        columns = [c.tolist() for c in room]
        texts = [f.dtype == "string" for f in kernel.spec.returns]
        count = result if kernel.spec.shape == "expand" else len(some)
        plain = [[c[i].decode() if t else c[i] for i in range(count)] for c, t in zip(columns, texts, strict=True)]
        out += [(*key, *values) for values in zip(*plain, strict=True)]
    return out


@drawing()
@given(tables(), st.sampled_from([extremes, turned, spread, Longest]), SIZES, st.booleans(), st.integers(1, 4))
def test_groups_and_aggregates(
    monkeypatch: pytest.MonkeyPatch,
    table: pa.Table,
    kernel: Any,
    sizes: dict[str, int],
    dictionary: bool,
    threads: int,
) -> None:
    for name, value in sizes.items():
        monkeypatch.setattr(f"checkrow.{name}", value)
    pq.write_table(table, "t.parquet", row_group_size=7, use_dictionary=dictionary)
    rows, limits = cr.scan("t.parquet").group_by("k"), cr.Limits(threads=threads)
    found = [tuple(r.values()) for r in rows.apply(kernel).collect(limits=limits).to_pylist()]
    assert found == grouped(kernel, table.to_pylist())
    own = {r["k"]: r["h"] for r in rows.agg(h=Hashes("s", "b")).collect(limits=limits).to_pylist()}
    for (key,), some in groups(table.to_pylist(), ("k",)).items():
        pairs = [(r["s"], r["b"]) for r in some if None not in {r["s"], r["b"]}]
        assert own[key] == (Hashes(*zip(*pairs, strict=True)) if pairs else None)


@drawing(0.5)
@given(tables(), SIZES, st.booleans(), st.integers(1, 4))
def test_expansions_and_batches(
    monkeypatch: pytest.MonkeyPatch, table: pa.Table, sizes_: dict[str, int], dictionary: bool, threads: int
) -> None:
    for name, value in sizes_.items():
        monkeypatch.setattr(f"checkrow.{name}", value)
    pq.write_table(table, "t.parquet", row_group_size=7, use_dictionary=dictionary)
    rows, limits = cr.scan("t.parquet"), cr.Limits(threads=threads)
    wanted: list[tuple[Any, ...]] = []
    for row in table.to_pylist():
        room = cr.outputs_for(places, 200)
        count = places(row["s"], row["b"], room)
        wanted += [
            (row["s"], row["b"], int(room.at[k]), int(room.first[k]), str(room.before[k]), room.last[k].data)
            for k in range(count)
        ]
    assert [tuple(r.values()) for r in rows.map(places).collect(limits=limits).to_pylist()] == wanted
    found = rows.select("s", "b").map(sizes).collect(limits=limits).to_pylist()
    assert [(r["n"], r["same"]) for r in found] == [
        (len(s.encode()) + (-1 if r["b"] is None else len(r["b"])), s.encode() == (r["b"] or b""))
        for r in table.to_pylist()
        for s in ("zz" if r["s"] is None else r["s"],)
    ]

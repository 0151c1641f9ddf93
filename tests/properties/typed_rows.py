"""Random rows of every type a kernel takes, ways to cut them, and kernels called row by row in plain Python."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

import checkrow as cr
from checkrow.compile.cache import driver_cache
from checkrow.expressions.types import parse_type, type_text
from checkrow.operators.bad_rows import BadRowKeeper
from checkrow.operators.batch import Batch, Origin
from checkrow.operators.expansions import Expansions
from checkrow.operators.fuse import RangeProof
from checkrow.operators.rows import RowPipeline
from checkrow.plan.stages import CollectSink, cut

SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False), ("i8", pa.int8()), ("i64", pa.int64()), ("u64", pa.uint64()),
        ("f32", pa.float32()), ("f64", pa.float64()), ("flag", pa.bool_()), ("day", pa.date32()),
        ("at", pa.timestamp("ms")), ("amount", pa.decimal128(9, 2)), ("s", pa.string()),
    ]
)  # fmt: skip
_FLOATS = [0.0, -0.0, math.nan, math.inf, -1.5, 2.25]
_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "i8": st.integers(-128, 127) | st.integers(-2, 5),
    "i64": st.integers(-(2**62), 2**62) | st.integers(-3, 3),
    "u64": st.integers(0, 2**64 - 1) | st.integers(0, 3),
    "f32": st.floats(width=32) | st.sampled_from(_FLOATS),
    "f64": st.floats() | st.sampled_from(_FLOATS),
    "flag": st.booleans(),
    "day": st.dates(dt.date(1900, 1, 1), dt.date(2100, 1, 1)),
    "at": st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1)).map(
        lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000)
    ),
    "amount": st.integers(-(10**9) + 1, 10**9 - 1).map(lambda v: Decimal(v).scaleb(-2)),
    "s": st.sampled_from(["", "a", "b", "ab"]),
}
PROOF = RangeProof.holds


@st.composite
def typed_tables(draw: st.DrawFn, columns: tuple[str, ...], max_rows: int = 25) -> pa.Table:
    """Draws rows with an `id`, a text `s` and some columns, each without nulls, with some, or with nothing else."""
    rows = draw(st.integers(0, max_rows))
    arrays: list[Any] = [pa.array(range(rows), pa.int64())]
    names = tuple(dict.fromkeys((*columns, "s")))
    for name in names:
        values = {
            "none": _VALUES[name],
            "some": st.none() | _VALUES[name],
            "all": st.none(),
        }[draw(st.sampled_from(["none", "some", "some", "all"]))]
        arrays.append(pa.array(draw(st.lists(values, min_size=rows, max_size=rows)), SCHEMA.field(name).type))
    fields = [SCHEMA.field("id"), *(SCHEMA.field(n) for n in names)]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def prepared(data: st.DataObject, table: pa.Table, monkeypatch: Any) -> cr.Dataset:
    """Writes rows to a file, and draws how they are cut and which tier computes them."""
    monkeypatch.setattr("checkrow.storage.parquet.ROWS", data.draw(st.sampled_from([1, 3, 131_072])))
    monkeypatch.setattr("checkrow.operators.expansions.ROWS", data.draw(st.sampled_from([1, 5, 131_072])))
    monkeypatch.setattr("checkrow.operators.expansions.FIRST_ROOM", data.draw(st.sampled_from([1, 2, 32])))
    monkeypatch.setattr("checkrow.plan.slices.FLOOR_BYTES", data.draw(st.sampled_from([1, 4 << 20])))
    proof = data.draw(st.sampled_from([PROOF, lambda *_: False]))
    monkeypatch.setattr("checkrow.operators.fuse.RangeProof.holds", proof)
    pq.write_table(table, "t.parquet", row_group_size=data.draw(st.sampled_from([1, 10, 1000])))
    return cr.scan("t.parquet")


def collected(
    data: st.DataObject, ds: cr.Dataset, table: pa.Table, bad_rows: cr.BadRows | None = None
) -> list[dict[str, Any]]:
    """Returns the rows of a dataset over `table`: run from its file, or on slices of chunks as they stand in memory."""
    if bad_rows is None and len(cut(ds.relation, CollectSink())) == 1 and data.draw(st.booleans()):
        return list(_from_slices(data, ds, table))
    limits = cr.Limits(threads=data.draw(st.integers(1, 4)))
    return ds.collect(limits=limits, bad_rows=bad_rows).to_pylist()


def _from_slices(data: st.DataObject, ds: cr.Dataset, table: pa.Table) -> Iterator[dict[str, Any]]:
    stage, keeper, cache = cut(ds.relation, CollectSink())[0], BadRowKeeper(), driver_cache()
    pipeline = RowPipeline(stage.predicates, stage.outputs, cache, keeper, fused=True)
    expansions = Expansions(stage.expansions, (), (), {}, cache, keeper, fused=True)
    dtypes = {f.name: type_text(f.type) for f in table.schema}
    first, step = data.draw(st.integers(0, 3)), data.draw(st.integers(1, 9))
    at = 0
    for start in (0, *range(first, table.num_rows, step)) if first else range(0, table.num_rows, step):
        stop = first if first and start == 0 else start + step
        for raw in table.slice(start, stop - start).to_batches():
            for batch in expansions.run(Batch(raw, {}, dtypes, Origin("here"), at)):
                yield from pipeline.run(batch).to_pylist()
            at += raw.num_rows


def argument(value: Any, name: str) -> Any:
    """Returns a value as a kernel takes it."""
    if value is None or name not in SCHEMA.names:
        return value
    kind = SCHEMA.field(name).type
    if pa.types.is_date(kind):
        return (value - dt.date(1970, 1, 1)).days
    if pa.types.is_timestamp(kind):
        return (value - dt.datetime(1970, 1, 1)) // dt.timedelta(microseconds=1)
    if pa.types.is_decimal(kind):
        return int(value.scaleb(2))
    return {"f32": np.float64, "f64": np.float64, "u64": np.uint64}.get(name, lambda v: v)(value)


def told(value: Any, dtype: str) -> Any:
    """Returns a value that a kernel gave as Arrow tells it, NaN and zeros so that they can be compared."""
    kind = parse_type(dtype)
    plain = value.item() if isinstance(value, (np.generic, np.ndarray)) else value
    if pa.types.is_date(kind):
        plain = dt.date(1970, 1, 1) + dt.timedelta(days=plain)
    elif pa.types.is_timestamp(kind):
        plain = dt.datetime(1970, 1, 1) + dt.timedelta(microseconds=plain)
    elif pa.types.is_decimal(kind):
        plain = Decimal(plain).scaleb(-kind.scale)
    elif pa.types.is_float32(kind):
        plain = np.float32(plain).item()
    return same(plain)


def same(value: Any) -> Any:
    """Returns a value so that bit-equal floats, and only those, are equal."""
    return repr(value) if isinstance(value, float) else value


def comparable(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{n: same(v) for n, v in r.items()} for r in rows]


def given(kernel: Any, row: dict[str, Any]) -> list[Any] | None:
    """Returns the arguments of a kernel for a row, by the rules of nulls=; None where it is not to be called."""
    spec, out = kernel.spec, []
    fills = dict(spec.fills)
    for name in spec.arguments or spec.columns:
        if name == "out":
            continue
        if name.endswith("_valid"):
            out.append(row[name.removesuffix("_valid")] is not None)
            continue
        value = argument(row[name], name)
        if value is None and name not in fills and f"{name}_valid" not in spec.arguments:
            return None
        out.append(argument_fill(name, fills.get(name, 0)) if value is None else value)
    return out


def argument_fill(name: str, value: Any) -> Any:
    return {"f32": np.float64, "f64": np.float64, "u64": np.uint64, "flag": bool}.get(name, lambda v: v)(value)

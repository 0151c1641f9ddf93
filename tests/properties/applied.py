"""Kernels over groups, applied to random tables and compared with their plain Python functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from checkrow import col
from tests.properties.cuts import scanned, threads
from tests.properties.signatures import array_type, seen
from tests.properties.tables import groups, ordered, orders, same_key

Plain = Callable[[Any, dict[str, Any], int], list[tuple[Any, ...]]]
"""Gives the rows of one group: of a kernel, its arguments as arrays by name, and the number of rows."""


def check(kernel: Any, plain: Plain, table: pa.Table, data: st.DataObject, monkeypatch: Any) -> None:
    """Compares the rows that a kernel gives over a table with those of its plain function."""
    keys = tuple(data.draw(st.lists(st.sampled_from(["k1", "k2"]), unique=True, max_size=2)))
    by = data.draw(orders())
    if not (kernel.spec.columns or keys):
        by = by or (("o1", False),)  # something must travel
    order = [col(name).desc() if descending else name for name, descending in by]
    query = scanned(data, monkeypatch, table).group_by(*keys).apply(kernel, order_by=order)
    found = query.collect(limits=threads(data))
    given_keys = [found.column(j).to_pylist() for j in range(len(keys))]
    values = [seen(found.column(j).combine_chunks()) for j in range(len(keys), found.num_columns)]
    mine = [(tuple(same_key(k[i]) for k in given_keys), *(v[i] for v in values)) for i in range(found.num_rows)]
    assert _comparable(mine) == _comparable(_wanted(kernel, plain, table, keys, by))


def _wanted(
    kernel: Any, plain: Plain, table: pa.Table, keys: tuple[str, ...], by: tuple[tuple[str, bool], ...]
) -> list[Any]:
    """Returns (key, outputs...) rows as a plain function gives them."""
    spec, fills, out = kernel.spec, dict(kernel.spec.fills), []
    columns = {name: seen(table[name].combine_chunks()) for name in spec.columns}
    numbered = [{**row, "#": i} for i, row in enumerate(table.to_pylist())]
    for key, members in groups(numbered, keys).items():
        places = [row["#"] for row in ordered(members, by)]
        arrays: dict[str, Any] = {}
        for name, everything in columns.items():
            some = [everything[i] for i in places]
            dtype = array_type(table.schema.field(name).type)
            arrays[name] = np.array([fills.get(name, 0) if v is None else v for v in some], dtype)
            arrays[f"{name}_valid"] = np.array([v is not None for v in some], np.bool_)
        out += [(key, *_declared(spec, row)) for row in plain(kernel, arrays, len(places))]
    return out


def _declared(spec: Any, row: tuple[Any, ...]) -> list[Any]:
    """Returns values as columns of the declared types hold them: only float32 rounds."""
    return [np.float32(v) if f.dtype == "float" else v for v, f in zip(row, spec.returns, strict=True)]


def _comparable(rows: list[Any]) -> dict[str, list[Any]]:
    """Returns output rows by key, in order, as texts: NaN is equal to itself, zeros of two signs are not."""
    found: dict[str, list[Any]] = {}
    for key, *row in rows:
        found.setdefault(repr(key), []).append([repr(v.item() if isinstance(v, np.generic) else v) for v in row])
    return found

"""Whether two results are equal: rows in any order, exact values exactly, floats within 1e-9 relative."""

from __future__ import annotations

import math
from decimal import Decimal

import pyarrow as pa

Value = object


def equal(found: pa.Table, wanted: pa.Table) -> bool:
    """Tells whether two tables hold the same rows under the same column names."""
    if found.column_names != wanted.column_names or found.num_rows != wanted.num_rows:
        return False
    mine, theirs = _rows(found), _rows(wanted)
    return all(_same(a, b) for x, y in zip(mine, theirs, strict=True) for a, b in zip(x, y, strict=True))


def _rows(table: pa.Table) -> list[tuple[Value, ...]]:
    rows = list(zip(*(c.to_pylist() for c in table.columns), strict=True))
    return sorted(rows, key=lambda r: [str(v) for v in r if not isinstance(v, float)])


def _same(a: Value, b: Value) -> bool:
    if isinstance(a, float) or isinstance(b, float):
        return math.isclose(float(str(a)), float(str(b)), rel_tol=1e-9)
    if isinstance(a, Decimal) and isinstance(b, Decimal):
        return a.compare(b) == 0
    return a == b

"""Whether two results are equal: rows in any order, exact values exactly, floats within 1e-9 relative."""

from __future__ import annotations

import math
from decimal import Decimal
from pathlib import Path

import pyarrow as pa

from benchmarks.case import Result
from benchmarks.compare_files import equal_files

Value = object


def equal(found: Result, wanted: Result, keys: tuple[str, ...] = ()) -> bool:
    """Tells whether two results hold the same rows under the same column names.

    Parameters
    ----------
    found, wanted : Table or Path
        Tables are compared in memory, directories of Parquet files out of core; a table never equals files.
    keys : tuple of str
        Columns that identify a row; needed for files.
    """
    if isinstance(found, Path) and isinstance(wanted, Path):
        return equal_files(found, wanted, keys)
    return isinstance(found, pa.Table) and isinstance(wanted, pa.Table) and _equal_tables(found, wanted)


def _equal_tables(found: pa.Table, wanted: pa.Table) -> bool:
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

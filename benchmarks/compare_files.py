"""Whether two directories of Parquet files hold the same rows, compared out of core with DuckDB.

Rows may be in any order and any number of files. Columns must have the same names and types; values are equal exactly,
floats within 1e-9 relative (NaN equals NaN), a null equals a null only.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import duckdb

from benchmarks.case import CORES

MEMORY = "3GB"
_FLOATS = {"FLOAT", "DOUBLE"}


def equal_files(found: Path, wanted: Path, keys: tuple[str, ...]) -> bool:
    """Tells whether two directories hold the same rows.

    Parameters
    ----------
    found, wanted : Path
        Directories with `*.parquet` files.
    keys : tuple of str
        Columns that identify a row of `wanted`; none of them is null.

    Raises
    ------
    ValueError
        If two rows of `wanted` have the same keys, or one has a null in them: nothing could be concluded then.
    """
    with tempfile.TemporaryDirectory(dir=found.parent) as spill, duckdb.connect() as connection:
        connection.execute(f"set threads = {CORES}; set memory_limit = '{MEMORY}'; set temp_directory = '{spill}'")
        connection.execute("set preserve_insertion_order = false")
        for name, directory in (("found", found), ("wanted", wanted)):
            connection.execute(f"create view {name} as from read_parquet('{directory}/*.parquet')")
        columns = _columns(connection, "wanted")
        if _columns(connection, "found") != columns or _rows(connection, "found") != _rows(connection, "wanted"):
            return False
        _check_keys(connection, keys, wanted)
        return _number(connection, _differing(columns, keys)) == 0


def _differing(columns: dict[str, str], keys: tuple[str, ...]) -> str:
    """Returns the query that counts rows without an equal partner.

    Keys are unique in `wanted` and the row counts are equal, so a row doubled in `found` leaves one of `wanted` alone.
    """
    on = " and ".join(f'f."{k}" = w."{k}"' for k in keys)
    same = [_same(f'f."{c}"', f'w."{c}"', t) for c, t in columns.items() if c not in keys]
    return (
        "select count(*) from (select *, 1 as here from found) f full join (select *, 1 as here from wanted) w "
        f"on {on} where f.here is null or w.here is null or not ({' and '.join(same) or 'true'})"
    )


def _same(a: str, b: str, kind: str) -> str:
    exact = f"{a} is not distinct from {b}"
    if kind not in _FLOATS:
        return exact
    near = f"isfinite({a}) and isfinite({b}) and abs({a} - {b}) <= 1e-9 * greatest(abs({a}), abs({b}))"
    return f"({exact} or coalesce({near}, false))"


def _check_keys(connection: duckdb.DuckDBPyConnection, keys: tuple[str, ...], wanted: Path) -> None:
    names = ", ".join(f'"{k}"' for k in keys)
    nulls = " or ".join(f'"{k}" is null' for k in keys)
    if not keys or _number(connection, f"select count(*) from wanted where {nulls}"):
        raise ValueError(f"results in {wanted} are compared by {keys}, which must be named and never null")
    distinct = _number(connection, f"select count(*) from (select distinct {names} from wanted)")
    if distinct != (rows := _rows(connection, "wanted")):
        raise ValueError(f"results in {wanted} are compared by {keys}, but {rows:,} rows have {distinct:,} such keys")


def _columns(connection: duckdb.DuckDBPyConnection, view: str) -> dict[str, str]:
    return {row[0]: row[1] for row in connection.execute(f"describe {view}").fetchall()}


def _rows(connection: duckdb.DuckDBPyConnection, view: str) -> int:
    return _number(connection, f"select count(*) from {view}")


def _number(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    row = connection.execute(query).fetchone()
    if row is None:
        raise RuntimeError(f"DuckDB gave no row for: {query}")
    return int(row[0])

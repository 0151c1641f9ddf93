"""What all tests share: private state, small data, and the oracle."""

from __future__ import annotations

import datetime as dt
import os
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from checkrow.buffers import BufferPool
from tests.profiles import register

register()


@pytest.fixture(autouse=True)
def private_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps the list of runs out of the user's home; the compile cache is shared, as it is between processes."""
    monkeypatch.setenv("CHECKROW_STATE_DIR", str(tmp_path / "state"))
    # Tests write a module, load it and write it anew within a second, which Python's bytecode does not tell apart.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def memory_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes even small arrays from memory that is used again, overwritten when it ends: whoever still looks sees it."""
    returned = BufferPool._returned

    def spoiled(pool: BufferPool, ended: Any) -> None:
        memory = pool._lent[id(ended)][1]
        memory[:] = b"\xa5" * len(memory)
        returned(pool, ended)

    monkeypatch.setattr(BufferPool, "_returned", spoiled)
    monkeypatch.setattr("checkrow.buffers.SMALLEST_BYTES", 256)


@pytest.fixture(autouse=True)
def narrow_exchanges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets whole numbers travel narrow in small exchanges too."""
    monkeypatch.setattr("checkrow.operators.scatter.NARROW_ROWS", 0)


@pytest.fixture
def fused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes every plan use the compiled tier, however small its input."""
    monkeypatch.setattr("checkrow.run.physical.FUSE_ROWS", 0)


@pytest.fixture
def many_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes exchanges of small inputs fan out into many partitions."""
    monkeypatch.setattr("checkrow.plan.slices.PARTITION_ROWS", 64)


@pytest.fixture
def many_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes small inputs be read in several tasks."""
    monkeypatch.setattr("checkrow.plan.slices.FLOOR_BYTES", 1)


def sample(rows: int = 2_000, seed: int = 7, null_share: float = 0.1) -> pa.Table:
    """Returns rows of every supported type, with nulls, extremes and repeated keys."""
    rng = np.random.default_rng(seed)

    def maybe(values: list[object]) -> list[object]:
        gone = rng.random(rows) < null_share
        return [None if g else v for g, v in zip(gone, values, strict=True)]

    day = dt.date(1992, 1, 1)
    return pa.table(
        {
            "id": pa.array(range(rows), pa.int64()),
            "small": pa.array(maybe(rng.integers(-100, 100, rows).tolist()), pa.int8()),
            "number": pa.array(maybe(rng.integers(-(10**6), 10**6, rows).tolist()), pa.int32()),
            "big": pa.array(maybe(rng.integers(-(2**40), 2**40, rows).tolist()), pa.int64()),
            "ratio": pa.array(maybe(rng.normal(0, 1000, rows).round(3).tolist()), pa.float64()),
            "single": pa.array(maybe(rng.integers(-64, 64, rows).astype(np.float32).tolist()), pa.float32()),
            "flag": pa.array(maybe((rng.random(rows) < 0.5).tolist()), pa.bool_()),
            "price": pa.array(
                maybe([Decimal(int(v)).scaleb(-2) for v in rng.integers(-(10**7), 10**7, rows)]), pa.decimal128(15, 2)
            ),
            "rate": pa.array(
                maybe([Decimal(int(v)).scaleb(-4) for v in rng.integers(0, 2000, rows)]), pa.decimal128(9, 4)
            ),
            "wide": pa.array(
                maybe([Decimal(int(v) * 10**12 + 7).scaleb(-3) for v in rng.integers(-(10**9), 10**9, rows)]),
                pa.decimal128(30, 3),
            ),
            "day": pa.array(maybe([day + dt.timedelta(int(v)) for v in rng.integers(0, 2500, rows)]), pa.date32()),
            "stamp": pa.array(
                maybe([dt.datetime(2020, 1, 1) + dt.timedelta(seconds=int(v)) for v in rng.integers(0, 10**7, rows)]),
                pa.timestamp("us"),
            ),
            "city": pa.array(maybe([f"city-{int(v)}" for v in rng.integers(0, 12, rows)]), pa.string()),
        }
    )


@pytest.fixture
def table() -> pa.Table:
    return sample()


@pytest.fixture
def source(tmp_path: Path, table: pa.Table) -> str:
    """A dataset of three files with several row groups."""
    folder = tmp_path / "source"
    folder.mkdir()
    for number, start in enumerate(range(0, table.num_rows, 700)):
        pq.write_table(table.slice(start, 700), folder / f"{number}.parquet", row_group_size=250)
    return str(folder)


class Oracle:
    """DuckDB on the same rows."""

    def __init__(self, table: pa.Table) -> None:
        self._connection = duckdb.connect()
        self._connection.register("t", table)

    def rows(self, query: str) -> list[tuple[object, ...]]:
        return self._connection.execute(query).fetchall()

    def column(self, query: str) -> list[object]:
        return [r[0] for r in self.rows(query)]


@pytest.fixture
def oracle(table: pa.Table) -> Oracle:
    return Oracle(table)


def rows_of(table: pa.Table) -> list[tuple[object, ...]]:
    """Returns a table's rows as tuples, sorted so that order does not matter."""
    return sorted(zip(*(c.to_pylist() for c in table.columns), strict=True), key=repr)


def environment(**changes: str) -> dict[str, str]:
    """Returns the environment for a child process of a test; it finds the package `tests` wherever it starts."""
    root = str(Path(__file__).parent.parent)
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, **changes}

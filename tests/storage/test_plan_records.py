"""A recorded plan holds every value a source or an expression may have, and holds it exactly."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import checkrow as cr
from checkrow.expressions.expression import Expr


def _write(place: Path, table: pa.Table, condition: Expr | None = None) -> list[object]:
    pq.write_table(table, place / "in.parquet")
    dataset = cr.scan(str(place / "in.parquet"))
    if condition is not None:
        dataset = dataset.filter(condition)
    dataset.write_parquet(str(place / "out"))
    found: list[object] = cr.scan(str(place / "out")).collect().column("x").to_pylist()
    return found


WIDE = [Decimal(10) ** 24, None, Decimal(-5)]
INFINITE = [float("inf"), None, -float("inf"), 1.0]


def test_a_decimal_beyond_64_bits_in_the_data(tmp_path: Path) -> None:
    assert _write(tmp_path, pa.table({"x": pa.array(WIDE, pa.decimal128(30, 3))})) == WIDE


def test_a_decimal_beyond_64_bits_in_a_condition(tmp_path: Path) -> None:
    table = pa.table({"x": pa.array(WIDE, pa.decimal128(30, 3))})
    assert _write(tmp_path, table, cr.col("x") > Decimal(10) ** 23) == WIDE[:1]


def test_infinity_in_the_data(tmp_path: Path) -> None:
    assert _write(tmp_path, pa.table({"x": INFINITE})) == INFINITE


def test_infinity_in_a_condition(tmp_path: Path) -> None:
    assert _write(tmp_path, pa.table({"x": INFINITE}), cr.col("x") < float("inf")) == [-float("inf"), 1.0]


@pytest.mark.parametrize("other", [float("nan"), -float("inf")])
def test_conditions_that_differ_in_infinity_are_different_plans(tmp_path: Path, other: float) -> None:
    pq.write_table(pa.table({"x": [1.0]}), tmp_path / "in.parquet")
    x = cr.scan(str(tmp_path / "in.parquet"))
    plans = [x.filter(cr.col("x").fill_null(v) < 2.0) for v in (float("inf"), other)]
    fingerprints = [p.plan_parquet(str(tmp_path / "out")).fingerprint for p in plans]
    assert len(set(fingerprints)) == 2

"""Row groups are skipped only where no row can match, and their ranges are those of what the scan returns."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import checkrow as cr
from checkrow import col


def pruned(rows: cr.Dataset, condition: cr.Expr) -> tuple[int, int]:
    """Returns (rows never read, rows found)."""
    kept = rows.filter(condition)
    return kept.plan_parquet("x").physical().rows_pruned, kept.collect().num_rows


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "Asia/Kolkata"])
def test_times_prune_in_every_unit_and_zone(tmp_path: Path, unit: str, zone: str | None) -> None:
    start = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    hours = pa.array([int(start.timestamp()) + 3_600 * h for h in range(2_000)], pa.timestamp("s"))
    times = hours.cast(pa.timestamp(unit)).cast(pa.int64()).cast(pa.timestamp(unit, zone))
    pq.write_table(pa.table({"t": times}), tmp_path / "t.parquet", row_group_size=100)
    rows = cr.scan(str(tmp_path / "t.parquet"))
    day = start + dt.timedelta(days=1)
    assert pruned(rows, col("t") < day) == (1_900, 24)
    assert pruned(rows, (col("t") >= day) & (col("t") < day + dt.timedelta(hours=1))) == (1_900, 1)
    assert pruned(rows, col("t") == start + dt.timedelta(hours=100, microseconds=0)) == (1_900, 1)


def test_times_before_the_epoch_and_between_units(tmp_path: Path) -> None:
    ticks = pa.array([-1_000_000_001, -1, 0, 1, 1_000_000_001], pa.timestamp("ns"))
    pq.write_table(pa.table({"t": ticks}), tmp_path / "t.parquet", row_group_size=1)
    rows = cr.scan(str(tmp_path / "t.parquet"))
    for bound in range(-3, 4):
        limit = dt.datetime(1970, 1, 1) + dt.timedelta(microseconds=bound * 500_000)
        nanoseconds = bound * 500_000_000
        wanted = sum(t < nanoseconds for t in ticks.cast(pa.int64()).to_pylist())
        assert rows.filter(col("t") < limit).collect().num_rows == wanted


def test_a_directory_value_counts_whatever_the_file_holds_under_its_name(tmp_path: Path) -> None:
    # The file's statistics of a column that the directory overrides made rows vanish.
    place = tmp_path / "in" / "k=9"
    place.mkdir(parents=True)
    pq.write_table(pa.table({"v": [1], "k": [5]}), place / "a.parquet")
    rows = cr.scan(str(tmp_path / "in"))
    assert rows.collect().to_pylist() == [{"v": 1, "k": 9}]
    assert rows.filter(col("k") == 9).collect().to_pylist() == [{"v": 1, "k": 9}]
    assert rows.filter(col("k") == 5).collect().num_rows == 0

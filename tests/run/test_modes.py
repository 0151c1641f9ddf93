"""Append, replace, snapshots, partitions: what readers of every kind see."""

from __future__ import annotations

from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import checkrow as cr
from checkrow import col
from checkrow.run.inspect import open_dataset, verify
from tests.conftest import rows_of


def test_append_adds_and_replace_swaps(source) -> None:
    ds = cr.scan(source).select("id", "city")
    ds.write_parquet("out")
    ds.filter(col("id") < 10).write_parquet("out", mode="append")
    assert cr.scan("out").collect().num_rows == 2_010
    run = ds.filter(col("id") < 5).write_parquet("out", mode="replace")
    assert run.snapshot == 3
    assert sorted(cr.scan("out").collect().column("id").to_pylist()) == [0, 1, 2, 3, 4]
    assert verify(open_dataset("out")).problems == ()


def test_replace_with_nothing(source) -> None:
    ds = cr.scan(source).select("id")
    ds.write_parquet("out")
    ds.filter(col("id") < 0).write_parquet("out", mode="replace")
    assert cr.scan("out").collect().num_rows == 0
    assert list(Path("out").rglob("*.parquet")) == []


def test_replace_of_its_own_source(source) -> None:
    cr.scan(source).select("id").write_parquet("out")
    cr.scan("out").filter(col("id") < 7).write_parquet("out", mode="replace")
    assert cr.scan("out").collect().num_rows == 7


def test_other_engines_read_the_directory_as_it_is(source, oracle) -> None:
    cr.scan(source).select("id", "city", "flag", "price").write_parquet("out", partition_by=["flag", "city"])
    wanted = oracle.rows("select id, price, flag::varchar, city from t")
    found = duckdb.sql(
        "select id, price, flag, city from read_parquet('out/**/*.parquet', hive_partitioning=true, "
        "hive_types={'flag': varchar, 'city': varchar})"
    ).fetchall()
    assert sorted(found, key=repr) == sorted(wanted, key=repr)
    assert pl.scan_parquet("out/").select(pl.len()).collect().item() == 2_000
    assert pq.read_table("out", partitioning="hive").num_rows == 2_000


def test_partition_columns_come_back(source) -> None:
    ds = cr.scan(source).select("id", "day", "small")
    ds.write_parquet("out", partition_by=["day", "small"])
    back = cr.scan("out").select("id", "day", "small").collect()
    assert back.schema.field("day").type == pa.date32()
    assert rows_of(back) == rows_of(ds.collect())


def test_partition_values_of_any_text(tmp_path) -> None:
    names = [
        "..",
        ".",
        "",
        "a/b",
        "a=b",
        "%2F",
        "\u202eRTL",
        "ümläut",
        "x" * 80,
        "CON",
        None,
        "__HIVE_DEFAULT_PARTITION_",
    ]
    pq.write_table(pa.table({"name": names, "n": range(len(names))}), tmp_path / "in.parquet")
    ds = cr.scan(str(tmp_path / "in.parquet"))
    ds.write_parquet("out", partition_by="name")
    assert rows_of(cr.scan("out").select("name", "n").collect()) == rows_of(ds.collect())
    assert all(p.resolve().is_relative_to(Path("out").resolve()) for p in Path("out").rglob("*.parquet"))
    with pytest.raises(cr.errors.ConfigError, match="255 are allowed"):
        pq.write_table(pa.table({"name": ["x" * 300], "n": [1]}), tmp_path / "long.parquet")
        cr.scan(str(tmp_path / "long.parquet")).write_parquet("out2", partition_by="name")


def test_a_hive_source_prunes_by_directory(source) -> None:
    cr.scan(source).select("id", "city").write_parquet("out", partition_by="city")
    ds = cr.scan("out").filter(col("city") == "city-3")
    assert "rows skipped" in ds.explain()
    assert set(ds.collect().column("city").to_pylist()) == {"city-3"}


def test_statistics_prune_row_groups(source) -> None:
    ds = cr.scan(source).filter(col("id") >= 1_900).select("id")
    assert "rows skipped" in ds.explain()
    assert ds.collect().num_rows == 100


def test_head_stops_early(source) -> None:
    assert cr.scan(source).select("id").head(3).column("id").to_pylist() == [0, 1, 2]
    assert cr.scan(source).head(0).num_rows == 0


def test_arrow_stream(source) -> None:
    assert pl.DataFrame(cr.scan(source).select("id")).height == 2_000


def test_remote_files_through_fsspec(source) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    for path in Path(source).iterdir():
        memory.pipe_file(f"/bucket/in/kind=a/{path.name}", path.read_bytes())
    ds = cr.scan("memory://bucket/in")
    assert ds.group_by("kind").agg(n=cr.count()).collect().to_pylist() == [{"kind": "a", "n": 2_000}]
    with pytest.raises(cr.errors.ConfigError, match="no file or directory"):
        cr.scan("memory://bucket/nothing")


def test_a_lost_last_record_is_noticed_by_its_marker(source) -> None:
    """A record was lost but its marker stayed: the next commit took its number, counted as shown, and lost its files."""
    ds = cr.scan(source).select("id")
    ds.write_parquet("out")
    ds.write_parquet("out", mode="append")
    Path("out.checkrow/log/00000000000000000002.json").unlink()
    with pytest.raises(cr.errors.CorruptControlFile, match="marker or later records exist"):
        ds.write_parquet("out", mode="append")


@pytest.mark.parametrize("column", ["_day", ".day"])
def test_partition_directories_that_readers_skip_are_refused(tmp_path, column) -> None:
    pq.write_table(pa.table({column: ["a", "b"], "x": [1, 2]}), tmp_path / "in.parquet")
    with pytest.raises(cr.errors.PlanError, match="readers skip directories"):
        cr.scan(str(tmp_path / "in.parquet")).write_parquet("out", partition_by=column)

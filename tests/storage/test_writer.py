"""Our files: encodings chosen by size, read alike by every reader."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from checkrow.storage.parquet import SAMPLE_ROWS, ParquetWriter

ROWS = 3 * SAMPLE_ROWS


def columns(rows: int = ROWS) -> pa.Table:
    rng = np.random.default_rng(5)
    edges = np.array([-(2**63), 2**63 - 1, 0, -1] * rows, np.int64)[:rows]
    return pa.table(
        {
            "rising": pa.array(np.cumsum(rng.integers(0, 100, rows)), pa.int64()),
            "anything": pa.array(rng.integers(-(2**63), 2**63 - 1, rows), pa.int64()),
            "edges": pa.array(edges),
            "small": pa.array(rng.integers(-100, 100, rows).astype(np.int8), mask=rng.random(rows) < 0.2),
            "unsigned": pa.array(rng.integers(2**64 - 60, 2**64 - 1, rows, np.uint64), pa.uint64()),
            "ts": pa.array(np.cumsum(rng.integers(0, 10**6, rows)), pa.timestamp("us")),
            "day": pa.array(rng.integers(0, 20_000, rows).astype(np.int32), pa.date32()),
            "x": pa.array(rng.random(rows)),
            "text": pa.array([f"t{i % 5}" for i in range(rows)]),
        }
    )


def written(table: pa.Table, path: Path) -> dict[str, set[str]]:
    """Writes a table; returns the encodings of each column."""
    writer = ParquetWriter(path, table.schema, "d" * 32, "zstd")
    for batch in table.to_batches(max_chunksize=777):
        writer.write(batch)
    writer.close()
    return described(path, "encodings")


def described(path: Path, what: str) -> dict[str, set[str]]:
    """Returns something of a footer by column."""
    group = pq.read_metadata(path).row_group(0)
    found = {group.column(j).path_in_schema: getattr(group.column(j), what) for j in range(group.num_columns)}
    return {name: {value} if isinstance(value, str) else set(value) for name, value in found.items()}


def test_whole_numbers_are_written_as_differences_where_that_is_smaller(tmp_path: Path) -> None:
    table = columns()
    found = written(table, tmp_path / "t.parquet")
    packed = {n for n, encodings in found.items() if "DELTA_BINARY_PACKED" in encodings}
    assert {"rising", "ts"} <= packed <= set(table.column_names) - {"anything", "x", "text"}
    assert "PLAIN" in found["anything"]
    size = (tmp_path / "t.parquet").stat().st_size
    pq.write_table(table, tmp_path / "plain.parquet", compression="zstd", compression_level=1, use_dictionary=["text"])
    assert size < (tmp_path / "plain.parquet").stat().st_size


def test_numbers_are_compressed_only_where_that_pays(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    table = columns().append_column("halves", pa.array(rng.integers(0, 50, ROWS) / 2))
    table = table.append_column("runs", pa.array(np.repeat(np.arange(ROWS // 64), 64)))
    written(table, tmp_path / "t.parquet")
    found = described(tmp_path / "t.parquet", "compression")
    bare = {name for name, codecs in found.items() if codecs == {"UNCOMPRESSED"}}
    assert bare >= {"anything", "ts", "x"}
    assert {name for name, codecs in found.items() if codecs == {"ZSTD"}} >= {"halves", "runs", "text"}
    alike = {"use_dictionary": ["text"], "compression": "zstd", "compression_level": 1}
    pq.write_table(table, tmp_path / "all.parquet", column_encoding={"ts": "DELTA_BINARY_PACKED"}, **alike)
    everywhere = pq.read_metadata(tmp_path / "all.parquet").row_group(0)
    here = pq.read_metadata(tmp_path / "t.parquet").row_group(0)
    for j, name in enumerate(table.column_names):
        assert here.column(j).total_compressed_size <= 1.2 * everywhere.column(j).total_compressed_size, name
    assert pq.read_table(tmp_path / "t.parquet").equals(table)


def test_another_codec_and_none(tmp_path: Path) -> None:
    for codec in ("snappy", "none"):
        writer = ParquetWriter(tmp_path / f"{codec}.parquet", columns().schema, "d" * 32, codec)
        writer.write(columns().combine_chunks().to_batches()[0])
        writer.close()
        found = described(tmp_path / f"{codec}.parquet", "compression")
        assert found["text"] == {{"none": "UNCOMPRESSED"}.get(codec, "SNAPPY")}
        assert pq.read_table(tmp_path / f"{codec}.parquet").equals(columns())


def test_every_reader_sees_the_same(tmp_path: Path) -> None:
    table = columns()
    written(table, tmp_path / "t.parquet")
    assert pq.read_table(tmp_path / "t.parquet").equals(table)
    assert duckdb.sql(f"select * from '{tmp_path}/t.parquet'").to_arrow_table().cast(table.schema).equals(table)
    assert pl.read_parquet(tmp_path / "t.parquet").to_arrow().cast(table.schema).equals(table)


def test_few_rows_are_written_plainly(tmp_path: Path) -> None:
    found = written(columns(SAMPLE_ROWS - 1), tmp_path / "t.parquet")
    assert not any("DELTA_BINARY_PACKED" in encodings for encodings in found.values())
    assert pq.read_table(tmp_path / "t.parquet").equals(columns(SAMPLE_ROWS - 1))


def test_a_file_without_rows(tmp_path: Path) -> None:
    writer = ParquetWriter(tmp_path / "t.parquet", columns(1).schema, "d" * 32, "snappy")
    writer.close()
    assert pq.read_table(tmp_path / "t.parquet").num_rows == 0

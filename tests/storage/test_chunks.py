"""What our own kernels decode equals what pyarrow decodes; what they do not take goes to pyarrow; damage is an error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import checkrow as cr
from checkrow.errors import CorruptInput
from checkrow.expressions.types import Field, type_text
from checkrow.operators.scan import SliceReader
from checkrow.plan.slices import Piece
from checkrow.plan.source import DataFile
from checkrow.storage import chunks, parquet
from checkrow.storage.parquet import ParquetReader, read_row_groups
from tests.conftest import environment, sample

WAYS = [
    {},
    {"compression": "none"},
    {"data_page_version": "2.0"},
    {"use_dictionary": False},
    {"data_page_size": 100, "write_page_checksum": True},
    {"dictionary_pagesize_limit": 400, "data_page_size": 1_000},
    {"compression": "zstd"},
]


def times() -> pa.Table:
    """Returns types that stand in files in several forms, with nulls and extremes."""
    rng = np.random.default_rng(3)
    rows = 1_000
    gone = rng.random(rows) < 0.2
    ticks = pa.array(rng.integers(-(10**9), 10**9, rows), mask=gone)
    whole = {f"{'u' if dtype.kind == 'u' else ''}int{8 * dtype.itemsize}": pa.array(
        rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, rows, dtype, endpoint=True), mask=gone)
        for dtype in map(np.dtype, ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"))}  # fmt: skip
    texts = [None if g else "é" * int(n) for g, n in zip(gone, rng.integers(0, 40, rows), strict=True)]
    return pa.table({
        **whole,
        **{f"ts_{unit}": ticks.cast(pa.timestamp(unit)) for unit in ("s", "ms", "us", "ns")},
        "zoned": ticks.cast(pa.timestamp("us", "Europe/Berlin")),
        "span": ticks.cast(pa.duration("us")),
        "required": pa.array(range(rows), pa.int64()),
        "none": pa.nulls(rows, pa.int32()),
        "text": pa.array(texts, pa.large_string()),
        "view": pa.array(texts, pa.string_view()),
        "coded": pa.array(texts, pa.string()).dictionary_encode(),
        "bytes": pa.array(texts, pa.string()).cast(pa.binary()),
        "inf": pa.array([float("nan"), float("-inf"), -0.0, None, 5e-324] * 200),
    })  # fmt: skip


def schema_of(table: pa.Table) -> pa.Schema:
    """Returns a schema whose columns without nulls are required in the file."""
    return pa.schema([f.with_nullable(table[f.name].null_count > 0) for f in table.schema])


def delivered(path: Path, table: pa.Table, coded: tuple[str, ...], *, own: bool) -> list[pa.RecordBatch]:
    """Returns the batches of a file as a task sees them."""
    file = DataFile(url=str(path), path=path.name, size_bytes=0, version="")
    schema = tuple(Field(f.name, type_text(f.type)) for f in table.schema)
    names = tuple(table.column_names)
    groups = read_row_groups(str(path), path.name, names, (), {f.name: f.dtype for f in schema})
    file = msgspec.structs.replace(file, row_groups=groups)
    reader = SliceReader((file,), schema, coded, lambda f: f.url, own=own)
    return [b.arrow for b in reader.batches((Piece(0, 0, len(groups)),))]


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("kind", ["sample", "times"])
@pytest.mark.parametrize("batch_rows", [131_072, 97])
def test_equal_to_pyarrow(
    tmp_path: Path, way: dict[str, object], kind: str, batch_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "ROWS", batch_rows)
    table = sample(1_000) if kind == "sample" else times()
    path = tmp_path / "t.parquet"
    pq.write_table(table.cast(schema_of(table)), path, row_group_size=300, store_decimal_as_integer=True, **way)
    coded = tuple(c for c in ("city", "text", "coded") if c in table.column_names)
    taken: list[str] = []
    real = chunks.ChunkReader.read

    def counted(self: chunks.ChunkReader, rows: int) -> chunks.Decoded:
        taken.append(self._layout.name)
        return real(self, rows)

    monkeypatch.setattr(chunks.ChunkReader, "read", counted)
    mine, theirs = (delivered(path, table, coded, own=own) for own in (True, False))
    if way != {"compression": "zstd"}:
        assert set(table.column_names) - set(taken) <= {"flag", "wide", "span", "ts_s"}
    for name in table.column_names:
        dtype = table.schema.field(name).type
        a, b = (pa.chunked_array([x.column(name).cast(dtype) for x in some]) for some in (mine, theirs))
        for chunk in a.chunks:
            chunk.validate(full=True)
        if pa.types.is_timestamp(dtype):
            a, b = a.cast(pa.int64()), b.cast(pa.int64())
        assert repr(a.to_pylist()) == repr(b.to_pylist()), name  # NaN equals itself here


def test_damage_is_noticed_and_named(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"x": pa.array(range(5_000))}), path, write_page_checksum=True, use_dictionary=False)
    whole = bytearray(path.read_bytes())
    whole[20_000] ^= 1
    path.write_bytes(whole)
    with pytest.raises(CorruptInput, match=r"t.parquet, row group 0 .*column 'x': a page's checksum differs"):
        delivered(path, pa.table({"x": pa.array([1])}), (), own=True)


def test_a_file_cut_short_under_the_reader(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    table = pa.table({"x": pa.array(range(5_000))})
    pq.write_table(table, path, use_dictionary=False)
    reader = ParquetReader(str(path), path.name, ("x",), (), {"x": "int64"}, {})
    with path.open("r+b") as file:
        file.truncate(10_000)
    with pytest.raises(CorruptInput, match="the file ends inside column 'x'"):
        list(reader.batches(0))
    reader.close()


def test_chunks_that_are_too_large_to_be_read_whole_go_to_pyarrow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, table = tmp_path / "t.parquet", pa.table({"x": pa.array(range(5_000))})
    pq.write_table(table, path)
    monkeypatch.setattr(chunks, "MOST_BYTES", 1_000)
    monkeypatch.setattr(chunks.ChunkReader, "read", None)
    assert [x for b in delivered(path, table, (), own=True) for x in b["x"].to_pylist()] == list(range(5_000))


def test_a_run_gives_the_same_with_either_decoder(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = (
        cr.scan(source)
        .filter(cr.col("big") > 0)
        .group_by("city", "flag")
        .agg(a=cr.sum("price"), b=cr.mean("ratio"), c=cr.count("stamp"), d=cr.max("city"), e=cr.sum("wide"))
    )
    found = []
    for ready in (True, False):
        monkeypatch.setattr("checkrow.run.decoder.TASK_BYTES", 0)
        monkeypatch.setattr("checkrow.run.decoder.is_ready", lambda ready=ready: ready)
        found.append(rows.collect())
    assert found[0].equals(found[1])


def test_it_is_compiled_ahead_and_then_ready(tmp_path: Path) -> None:
    code = (
        "from checkrow_kernels import warm\n"
        "warm.WARM = warm.WARM[1:2]\n"
        "print(warm.is_ready(), warm.compile_pages(), warm.compile_pages(), warm.is_ready())"
    )
    for jit, answer in (("1", "False True False True"), ("0", "False False False False")):
        place = environment(CHECKROW_CACHE_DIR=str(tmp_path / jit), CHECKROW_JIT=jit)
        done = subprocess.run([sys.executable, "-c", code], env=place, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == answer

"""The exchange: both forms give the same rows, the file shows any damage, partitions do not depend on the task."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from checkrow.errors import CorruptControlFile
from checkrow.expressions.types import schema_of
from checkrow.operators.arrow import from_arrow, to_batch
from checkrow.operators.column import Column, Columns
from checkrow.operators.exchange import FileExchange, MemoryExchange, write_exchange
from checkrow.operators.scatter import Scatter
from tests.conftest import sample

NAMES = ("city", "big", "ratio", "flag", "price", "wide", "day", "stamp", "single", "small")


def scatter(columns: Columns, keys: int, bits: int) -> MemoryExchange:
    """Returns the rows of one batch by partition."""
    whole = Scatter(keys, bits)
    whole.add(columns)
    return whole.finish(columns.names, tuple(c.dtype for c in columns.columns))


def columns_of(table: pa.Table) -> Columns:
    schema = {f.name: f for f in schema_of(table.schema)}
    arrays = [from_arrow(table.column(n).combine_chunks(), schema[n].dtype) for n in NAMES]
    return Columns(NAMES, tuple(arrays), table.num_rows)


SCHEMA = tuple(f for n in NAMES for f in schema_of(sample(1).schema) if f.name == n)


def rows(columns: Columns) -> list[dict[str, object]]:
    return to_batch(columns.widened(), SCHEMA).to_pylist()


@pytest.mark.parametrize("narrow_rows", [0, 10**6])
@pytest.mark.parametrize("bits", [0, 1, 7, 8, 12])
def test_both_forms_hold_the_same_rows_in_the_same_order(tmp_path, monkeypatch, bits, narrow_rows) -> None:
    monkeypatch.setattr("checkrow.operators.scatter.NARROW_ROWS", narrow_rows)
    table = sample(1_500)
    memory = scatter(columns_of(table), 2, bits)
    write_exchange(tmp_path / "x", memory)
    file = FileExchange(tmp_path / "x")
    assert file.partition_bytes == memory.partition_bytes, "later tasks would be cut differently"
    assert file.partition_rows == memory.partition_rows
    assert sum(memory.partition_rows) == 1_500
    found = []
    for p in range(1 << bits):
        assert rows(file.partition(p)) == rows(memory.partition(p))
        found += rows(memory.partition(p))
    assert sorted(found, key=repr) == sorted(table.select(list(NAMES)).to_pylist(), key=repr)


SPANS = {
    0: "uint8",
    255: "uint8",
    256: "uint16",
    65_535: "uint16",
    65_536: "uint32",
    2**32 - 1: "uint32",
    2**32: "int64",
}


@pytest.mark.parametrize("low", [-(2**63), -1, 0, 2**62])
@pytest.mark.parametrize(("span", "stored"), SPANS.items())
def test_whole_numbers_travel_as_narrow_as_they_can(tmp_path, low, span, stored) -> None:
    """One slice is narrow, another wide: together they are what they were."""
    values = np.array([low + span, low, low + span // 2] * 50)
    valid = (np.arange(len(values)) % 5 > 0).astype(np.uint8)
    halves = [
        Columns(("k", "v"), (Column("int64", part % 7), Column("timestamp[us]", part, there)), len(part))
        for part, there in zip(np.split(values, 2), np.split(valid, 2), strict=True)
    ]
    wide = Columns(halves[0].names, (halves[0].columns[0], Column("timestamp[us]", np.arange(75) << 40)), 75)
    memory, other = scatter(halves[0], 1, 2), scatter(wide, 1, 2)
    both = Scatter(1, 2)
    for half in halves:
        both.add(half)
    together = both.finish(halves[0].names, ("int64", "timestamp[us]"))
    assert together.columns["v"].values.dtype.name == stored
    assert other.columns["v"].values.dtype.name == "int64"
    write_exchange(tmp_path / "x", memory)
    for number in range(4):
        parts = [memory.partition(number), other.partition(number)]
        one, two = (p["v"].widened() for p in parts)
        joined = Columns.concat(parts)["v"]
        assert (joined.values == np.concatenate([one.values, two.values])).all()
        assert (FileExchange(tmp_path / "x").partition(number)["v"].widened().values == one.values).all()
        assert np.isin(one.values, halves[0]["v"].values).all()


def test_a_key_goes_to_one_partition_whatever_its_slice() -> None:
    table = sample(2_000)
    whole = {}
    for start in (0, 700, 1_400):
        part = scatter(columns_of(table.slice(start, 700)), 1, 5)
        for p in range(32):
            for row in rows(part.partition(p)):
                assert whole.setdefault(row["city"], p) == p
    assert len(set(whole.values())) > 5


def test_nothing_is_an_exchange_too(tmp_path) -> None:
    write_exchange(tmp_path / "x", scatter(columns_of(sample(1).slice(0, 0)), 1, 3))
    assert FileExchange(tmp_path / "x").partition_rows == (0,) * 8
    assert rows(FileExchange(tmp_path / "x").partition(3)) == []


def test_damage_is_seen(tmp_path) -> None:
    write_exchange(tmp_path / "x", scatter(columns_of(sample(200)), 1, 1))
    good = (tmp_path / "x").read_bytes()
    wanted = [rows(FileExchange(tmp_path / "x").partition(p)) for p in range(2)]
    rng = np.random.default_rng(3)
    for position in [*rng.integers(0, len(good), 150), 0, len(good) - 1]:
        bad = bytearray(good)
        bad[position] ^= 1 << int(rng.integers(0, 8))
        (tmp_path / "x").write_bytes(bytes(bad))
        try:
            found = [rows(FileExchange(tmp_path / "x").partition(p)) for p in range(2)]
        except CorruptControlFile:
            continue
        assert found == wanted  # padding between segments carries nothing
    for keep in (0, 10, len(good) // 2, len(good) - 1):
        (tmp_path / "x").write_bytes(good[:keep])
        with pytest.raises(CorruptControlFile):
            FileExchange(tmp_path / "x")

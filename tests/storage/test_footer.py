"""Decimals read as integers: the same values as pyarrow's, whatever wrote the file; any other footer is left alone."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import checkrow as cr
from checkrow.storage.footer import plain_footer


def table(rows: int = 3_000) -> pa.Table:
    rng = np.random.default_rng(rows)
    small = [Decimal(int(v)).scaleb(-2) if v % 7 else None for v in rng.integers(-9_999_999, 9_999_999, rows)]
    large = [Decimal(int(v)).scaleb(-3) for v in rng.integers(-(10**17), 10**17, rows)]
    return pa.table(
        {
            "id": range(rows),
            "small": pa.array(small, pa.decimal128(9, 2)),
            "large": pa.array(large, pa.decimal128(18, 3)),
            "text": [f"t{i % 9}" for i in range(rows)],
            "span": pa.array(range(rows), pa.duration("ms")),
        }
    )


@pytest.mark.parametrize("integers", [True, False])
@pytest.mark.parametrize("schema", [True, False])
@pytest.mark.parametrize("codec", ["snappy", "zstd", "none"])
def test_the_same_values(tmp_path, integers, schema, codec) -> None:
    wanted = table() if schema else table().drop_columns(["span"])
    path = tmp_path / "x.parquet"
    pq.write_table(
        wanted, path, store_decimal_as_integer=integers, store_schema=schema, compression=codec, row_group_size=800
    )
    found = plain_footer(path, ["small", "large"])
    assert (found is not None) == integers
    if found is not None:
        assert found.decimals == {"small": (9, 2), "large": (18, 3)}
        assert found.metadata.num_rows == 3_000
    names = ["id", "small", "large", "text"]
    back = cr.scan(str(path)).select(*names).collect()
    assert back.to_pydict() == pq.read_table(path, columns=names).to_pydict()
    grouped = cr.scan(str(path)).group_by("text").agg(s=cr.sum("small"), l=cr.sum("large")).collect()
    total = sum((v for v in wanted.column("small").to_pylist() if v is not None), Decimal(0))
    assert sum(grouped.column("s").to_pylist()) == total


def test_columns_that_need_the_arrow_schema_keep_it(tmp_path) -> None:
    pq.write_table(table(), tmp_path / "x.parquet", store_decimal_as_integer=True)
    back = cr.scan(str(tmp_path / "x.parquet")).select("small", "span").collect()
    assert back.schema.field("span").type == pa.duration("ms")
    assert back.column("small").to_pylist() == table().column("small").to_pylist()


def test_any_damage_falls_back_or_is_an_error_never_another_value(tmp_path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(table(60), path, store_decimal_as_integer=True)
    good = path.read_bytes()
    length = int.from_bytes(good[-8:-4], "little")
    for position in range(len(good) - 8 - length, len(good) - 8 - length + 160):
        bad = bytearray(good)
        bad[position] ^= 0x21
        path.write_bytes(bytes(bad))
        plain_footer(path, ["small", "large"])  # may say None; must not raise

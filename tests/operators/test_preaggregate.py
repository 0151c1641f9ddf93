"""Whether states or rows travel changes nothing but the time it takes."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import checkrow as cr
from checkrow import col, errors
from checkrow.operators.preaggregate import rows_travel
from tests.conftest import rows_of

WAYS = {"rows": lambda *_: True, "states": lambda *_: False}


@pytest.fixture(params=WAYS)
def way(request, monkeypatch) -> str:
    """Forces one way after few groups."""
    monkeypatch.setattr("checkrow.operators.preaggregate.MOST_GROUPS", 3)
    monkeypatch.setattr("checkrow.operators.preaggregate.rows_travel", WAYS[request.param])
    return request.param


@pytest.mark.usefixtures("many_partitions", "many_slices")
def test_built_in_aggregates_equal_sql(source, oracle, way) -> None:
    found = (
        cr.scan(source)
        .filter(col("id") > 20)
        .group_by("city", "small", (col("number") > 0).alias("half"))
        .agg(
            n=cr.count(),
            c=cr.count("ratio"),
            s=cr.sum("number"),
            low=cr.min("ratio"),
            high=cr.max("day"),
            m=cr.mean("id"),
        )
    )
    wanted = oracle.rows(
        "select city, small, number > 0, count(*), count(ratio), sum(number), min(ratio), max(day), avg(id) from t "
        "where id > 20 group by 1, 2, 3"
    )
    assert list(map(repr, rows_of(found.collect()))) == sorted(map(repr, wanted))


@pytest.mark.usefixtures("many_partitions", "many_slices")
def test_wide_sums_and_text_keys(way) -> None:
    rng = np.random.default_rng(3)
    keys = [f"key {k}" for k in rng.integers(0, 400, 3000)]
    values = [Decimal(int(v)) * 10**20 for v in rng.integers(-(10**9), 10**9, 3000)]
    pq.write_table(pa.table({"k": keys, "v": pa.array(values, pa.decimal128(38, 2))}), "x.parquet", row_group_size=500)
    found = cr.scan("x.parquet").group_by("k").agg(s=cr.sum("v")).collect().to_pylist()
    wanted: dict[str, Decimal] = {}
    for k, v in zip(keys, values, strict=True):
        wanted[k] = wanted.get(k, Decimal(0)) + v
    assert {r["k"]: r["s"] for r in found} == wanted


@pytest.mark.usefixtures("many_partitions", "many_slices")
def test_an_overflow_is_found_either_way(way) -> None:
    pq.write_table(pa.table({"k": [*range(500), 7], "v": [2**62] * 501}), "x.parquet")
    with pytest.raises(errors.ArithmeticRangeError, match="exact sum does not fit"):
        cr.scan("x.parquet").group_by("k").agg(s=cr.sum("v"), t=cr.sum(col("v") + (2**62 - 1))).collect()


def test_the_choice() -> None:
    assert rows_travel(0.9, 0.001, 256, 2, 4, 1)
    assert not rows_travel(0.05, 0.001, 256, 8, 4, 1)
    assert rows_travel(0.05, 0.001, 256, 8, 4, 3), "looking up three tables costs more than moving a row"
    assert not rows_travel(0.9, 0.5, 256, 2, 4, 1), "one key would fill 128 partitions"


def test_few_groups_are_never_moved_row_by_row(monkeypatch) -> None:
    monkeypatch.setattr("checkrow.operators.preaggregate.rows_travel", None)
    pq.write_table(pa.table({"k": np.arange(300_000) % 1000}), "x.parquet", row_group_size=50_000)
    assert cr.scan("x.parquet").group_by("k").agg(n=cr.count()).collect().num_rows == 1000

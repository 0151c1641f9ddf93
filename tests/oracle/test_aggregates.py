"""Grouping gives DuckDB's answer, whatever the keys, the tier, the fan-out and the threads; bit for bit the same."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest

import checkrow as cr
from checkrow import col
from tests.conftest import rows_of

AGGREGATES = {
    "n": cr.count(),
    "with_small": cr.count("small"),
    "big_sum": cr.sum("big"),
    "ratio_sum": cr.sum("single"),
    "price_sum": cr.sum("price"),
    "wide_sum": cr.sum("wide"),
    "flags": cr.sum("flag"),
    "low": cr.min("number"),
    "high": cr.max("ratio"),
    "first_day": cr.min("day"),
    "last_stamp": cr.max("stamp"),
    "mean_price": cr.mean("price"),
    "mean_small": cr.mean("small"),
}
SQL = (
    "count(*), count(small), sum(big)::bigint, sum(single), sum(price), sum(wide), sum(flag::int)::bigint, min(number), "
    "max(ratio), min(day), max(stamp), avg(price), avg(small)"
)
KEYS = [
    ["city"],
    ["small"],
    ["city", "flag"],
    ["day", "small", "city"],
    ["single"],
    ["price"],
    ["stamp", "big", "city"],
    [],
]


def agreed(found: pa.Table, wanted: list[tuple[object, ...]]) -> None:
    mine, theirs = rows_of(found), sorted(wanted, key=repr)
    assert len(mine) == len(theirs)
    for a, b in zip(mine, theirs, strict=True):
        for x, y in zip(a, b, strict=True):
            assert x == pytest.approx(y, rel=1e-9) if isinstance(y, float) else x == y


@pytest.mark.parametrize("keys", KEYS, ids=lambda k: "+".join(k) or "none")
def test_vectorised(source, oracle, keys) -> None:
    found = cr.scan(source).group_by(*keys).agg(**AGGREGATES).collect()
    names = ", ".join(keys)
    wanted = oracle.rows(f"select {names + ', ' if keys else ''}{SQL} from t {'group by ' + names if keys else ''}")
    agreed(found, wanted)


@pytest.mark.parametrize("keys", [["city", "flag"], ["day", "small"], []], ids=lambda k: "+".join(k) or "none")
@pytest.mark.usefixtures("fused")
def test_fused(source, oracle, keys) -> None:
    chosen = {n: a for n, a in AGGREGATES.items() if n != "wide_sum"}
    found = cr.scan(source).filter(col("id") > 100).group_by(*keys).agg(**chosen).collect()
    names, sql = ", ".join(keys), SQL.replace("sum(wide), ", "")
    query = f"select {names + ', ' if keys else ''}{sql} from t where id > 100 {'group by ' + names if keys else ''}"
    agreed(found, oracle.rows(query))


def test_tiers_and_threads_agree_bit_for_bit(source, monkeypatch) -> None:
    def result(threads: int, rows: int) -> pa.Table:
        monkeypatch.setattr("checkrow.run.physical.FUSE_ROWS", rows)
        grouped = cr.scan(source).group_by("city", "flag").agg(s=cr.sum("ratio"), m=cr.mean("single"), n=cr.count())
        return grouped.collect(limits=cr.Limits(threads=threads))

    first = result(1, 0)
    for threads, rows in ((2, 0), (4, 0), (1, 10**9), (3, 10**9)):
        assert result(threads, rows).equals(first)


def test_having_and_expressions_over_groups(source, oracle) -> None:
    ds = cr.scan(source).group_by("city").agg(n=cr.count(), s=cr.sum("number"))
    found = ds.filter((col("n") > 150) & (col("city") != "city-3")).with_columns(twice=col("s") * 2).collect()
    wanted = oracle.rows(
        "select city, count(*), sum(number)::bigint, 2 * sum(number)::bigint from t where city != 'city-3' "
        "group by city having count(*) > 150"
    )
    assert rows_of(found) == sorted(wanted, key=repr)


def test_grouping_twice(source, oracle) -> None:
    ds = cr.scan(source).group_by("city", "small").agg(n=cr.count()).group_by("city").agg(m=cr.max("n"), k=cr.count())
    wanted = oracle.rows(
        "select city, max(n), count(*) from (select city, small, count(*) n from t group by all) group by city"
    )
    assert rows_of(ds.collect()) == sorted(wanted, key=repr)


def test_nothing_matches(source) -> None:
    empty = cr.scan(source).filter(col("id") < 0)
    assert empty.group_by("city").agg(n=cr.count()).collect().num_rows == 0
    whole = empty.group_by().agg(n=cr.count(), s=cr.sum("big"), m=cr.mean("ratio"), low=cr.min("day")).collect()
    assert whole.to_pylist() == [{"n": 0, "s": None, "m": None, "low": None}]


def test_nan_is_the_greatest_value(tmp_path) -> None:
    import pyarrow.parquet as pq

    nan = float("nan")
    pq.write_table(pa.table({"k": [1, 1, 2, 2], "x": [nan, 1.0, nan, nan]}), tmp_path / "x.parquet")
    found = cr.scan(str(tmp_path / "x.parquet")).group_by("k").agg(low=cr.min("x"), high=cr.max("x")).collect()
    rows = {r["k"]: r for r in found.to_pylist()}
    assert rows[1]["low"] == 1.0
    assert rows[1]["high"] != rows[1]["high"]
    assert rows[2]["low"] != rows[2]["low"]


def test_float_keys_are_equal_when_values_are(tmp_path) -> None:
    import pyarrow.parquet as pq

    nan = float("nan")
    pq.write_table(pa.table({"k": [0.0, -0.0, nan, nan, None, None, 1.5]}), tmp_path / "x.parquet")
    found = cr.scan(str(tmp_path / "x.parquet")).group_by("k").agg(n=cr.count()).collect()
    assert sorted(found.column("n").to_pylist()) == [1, 2, 2, 2]


def test_means_and_sums_of_wide_decimals_below_zero(tmp_path) -> None:
    import pyarrow.parquet as pq

    values = [Decimal(-2), Decimal(-3), Decimal(10) ** 25 * -7]
    pq.write_table(pa.table({"k": [1, 1, 2], "x": pa.array(values, pa.decimal128(30, 3))}), tmp_path / "x.parquet")
    ds = cr.scan(str(tmp_path / "x.parquet")).group_by("k").agg(m=cr.mean("x"), s=cr.sum("x"))
    rows = {r["k"]: r for r in ds.collect().to_pylist()}
    assert (rows[1]["m"], rows[1]["s"]) == (-2.5, Decimal(-5))
    assert rows[2]["m"] == pytest.approx(-7e25)


def test_a_decimal_sum_beyond_38_digits_is_an_error(tmp_path) -> None:
    import pyarrow.parquet as pq

    big = [Decimal(9) * Decimal(10) ** 37, Decimal(5) * Decimal(10) ** 37]
    pq.write_table(pa.table({"x": pa.array(big, pa.decimal128(38, 0))}), tmp_path / "x.parquet")
    with pytest.raises(cr.errors.ArithmeticRangeError, match="does not fit decimal128"):
        cr.scan(str(tmp_path / "x.parquet")).group_by().agg(s=cr.sum("x")).collect()

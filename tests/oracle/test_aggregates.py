"""Grouping gives DuckDB's answer, whatever the keys, the tier, the fan-out and the threads; bit for bit the same."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import checkrow as cr
from checkrow import col, errors
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


SPREADS = {
    "different": cr.count_distinct("number"),
    "different_cities": cr.count_distinct("city"),
    "different_singles": cr.count_distinct("single"),
    "variance": cr.var("ratio"),
    "deviation": cr.std("number", ddof=0),
    "price_deviation": cr.std("price"),
    "middle": cr.median("price"),
    "high": cr.quantile("ratio", 0.9),
    "low": cr.quantile("small", 0.25),
    "least_city": cr.min("city"),
    "greatest_city": cr.max("city"),
    "least_wide": cr.min("wide"),
    "greatest_wide": cr.max("wide"),
    "earliest": cr.first("city", order_by=["stamp", "id"]),
    "newest": cr.last("price", order_by=[col("day"), "id"]),
    "first_by_text": cr.first("big", order_by=[col("city").desc(), "wide", "id"]),
    "total": cr.sum("price"),
}
SPREADS_SQL = (
    "count(distinct number), count(distinct city), count(distinct single), var_samp(ratio), stddev_pop(number), "
    "stddev_samp(price), quantile_cont(price::double, 0.5), quantile_cont(ratio, 0.9), quantile_cont(small, 0.25), "
    "min(city), max(city), min(wide), max(wide), first(city order by stamp nulls last, id), "
    "last(price order by day nulls first, id), first(big order by city desc nulls last, wide nulls last, id), sum(price)"
)


@pytest.mark.parametrize("way", ["states", "rows"])
@pytest.mark.parametrize("keys", [["city"], ["day", "flag"], ["single"], []], ids=lambda k: "+".join(k) or "none")
def test_second_keys_moments_and_chosen_rows(
    source, oracle, many_slices, many_partitions, monkeypatch, keys, way
) -> None:
    monkeypatch.setattr("checkrow.operators.preaggregate.MOST_GROUPS", 50)
    monkeypatch.setattr("checkrow.operators.preaggregate.rows_travel", lambda *_: way == "rows")
    found = cr.scan(source).group_by(*keys).agg(**SPREADS).collect()
    names = ", ".join(keys)
    agreed(
        found,
        oracle.rows(f"select {names + ', ' if keys else ''}{SPREADS_SQL} from t {'group by ' + names if keys else ''}"),
    )


def test_one_second_key_alone(source, oracle) -> None:
    found = cr.scan(source).group_by("city").agg(n=cr.count_distinct("day")).collect()
    agreed(found, oracle.rows("select city, count(distinct day) from t group by city"))


def test_nothing_to_choose_from(source) -> None:
    found = (
        cr.scan(source).filter(col("id") < 0).group_by().agg(**SPREADS, near=cr.approx_quantile("id", 0.5)).collect()
    )
    values = found.to_pylist()[0]
    counts = {"different", "different_cities", "different_singles"}
    assert {n for n, v in values.items() if v is not None} == counts
    assert {values[n] for n in counts} == {0}


def test_estimates_are_near_and_the_same_however_rows_are_cut(source, monkeypatch, tmp_path) -> None:
    rng = np.random.default_rng(5)
    rows, distinct = 200_000, 50_000
    table = pa.table(
        {"k": rng.integers(0, 3, rows), "x": rng.integers(0, distinct, rows), "y": rng.lognormal(3, 2, rows)}
    )
    pq.write_table(table, "wide.parquet", row_group_size=20_000)

    def ask() -> pa.Table:
        calls = {"n": cr.approx_distinct("x"), "exact": cr.count_distinct("x"), "q": cr.approx_quantile("y", 0.99)}
        return cr.scan("wide.parquet").group_by("k").agg(**calls, exact_q=cr.quantile("y", 0.99)).collect().sort_by("k")

    monkeypatch.setattr("checkrow.run.physical.FUSE_ROWS", 0)
    found = ask()
    for row in found.to_pylist():
        assert row["n"] == pytest.approx(row["exact"], rel=0.05)
        assert row["n"] != row["exact"]
        assert row["q"] == pytest.approx(row["exact_q"], rel=2**-12)
    monkeypatch.setattr("checkrow.operators.partial.PartialAggregate._can_fuse", lambda _: False)
    monkeypatch.setattr("checkrow.plan.slices.FLOOR_BYTES", 1)
    monkeypatch.setattr("checkrow.storage.parquet.ROWS", 777)
    monkeypatch.setattr("checkrow.operators.preaggregate.MOST_GROUPS", 100)
    assert ask().equals(found)


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (cr.var("city"), r"var\(\) is not defined for string \(column 'x'\)"),
        (cr.median("stamp"), r"quantile\(\) is not defined for timestamp"),
        (cr.count_distinct("wide"), "decimal128.*cannot be a group key yet.*'x'.*cast"),
        (cr.sum("nope"), "nope"),
        (cr.first("id", order_by="nope"), "nope"),
    ],
)
def test_aggregates_that_are_not_defined(source, call, why) -> None:
    with pytest.raises(errors.SchemaError, match=why):
        cr.scan(source).group_by("flag").agg(x=call).collect()


def test_aggregates_that_make_no_sense() -> None:
    with pytest.raises(errors.PlanError, match="from 0 to 1"):
        cr.quantile("x", 1.5)
    with pytest.raises(errors.PlanError, match="ddof"):
        cr.std("x", ddof=-1)
    with pytest.raises(errors.PlanError, match="needs order_by"):
        cr.first("x", order_by=[])

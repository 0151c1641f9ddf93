"""Every operation gives DuckDB's answer, in both tiers."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest

import checkrow as cr
from checkrow import col, lit, when
from checkrow.expressions.nodes import walk
from checkrow.expressions.operations import OPERATIONS

CASES = [
    (col("number") + col("small"), "number::bigint + small"),
    (col("number") - 5, "number::bigint - 5"),
    (col("big") * 3, "big * 3"),
    (-col("number"), "-(number::bigint)"),
    (col("ratio") * col("single"), "ratio * single::double"),
    (col("ratio") / col("number"), "case when number = 0 then ratio / 0.0 else ratio / number end"),
    (col("price") + col("rate"), "price + rate"),
    (col("price") * (1 - col("rate")), "price * (1 - rate)"),
    (col("price") - col("wide"), "price - wide"),
    (col("wide") + 1, "wide + 1"),
    (col("price") / 3, "price::double / 3"),
    (col("price") + col("number"), "price + number"),
    (-col("price"), "-price"),
    (col("price") > Decimal("12.5"), "price > 12.5"),
    (col("price") == col("rate"), "price = rate"),
    (col("number") <= col("big"), "number <= big"),
    (col("ratio") != 0.0, "ratio != 0.0"),
    (col("day") >= dt.date(1995, 3, 1), "day >= date '1995-03-01'"),
    (col("stamp") < dt.datetime(2020, 2, 1), "stamp < timestamp '2020-02-01'"),
    (col("city") == "city-3", "city = 'city-3'"),
    (col("city") > "city-3", "city > 'city-3'"),
    (col("flag") & (col("number") > 0), "flag and number > 0"),
    (col("flag") | (col("number") > 0), "flag or number > 0"),
    (~col("flag"), "not flag"),
    (col("number").is_null(), "number is null"),
    (col("city").is_not_null(), "city is not null"),
    (col("number").fill_null(-1), "coalesce(number, -1)"),
    (cr.coalesce(col("small"), col("number"), 0), "coalesce(small, number, 0)"),
    (when(col("flag")).then(col("number")).otherwise(col("small")), "case when flag then number else small end"),
    (
        when(col("small") > 50).then(1).when(col("small") > 0).then(2),
        "case when small > 50 then 1 when small > 0 then 2 end",
    ),
    (col("small").is_in([1, 2, 3]), "small in (1, 2, 3)"),
    (col("small").between(-5, 5, closed="left"), "small >= -5 and small < 5"),
    (col("number").cast(pa.float64()), "number::double"),
    (col("price").cast(pa.float64()), "price::double"),
    (col("price").cast(pa.decimal128(18, 4)), "price::decimal(18, 4)"),
    (col("small").cast(pa.int64()), "small::bigint"),
    (col("number").cast(pa.decimal128(18, 2)), "number::decimal(18, 2)"),
    (col("day").cast(pa.timestamp("us")), "day::timestamp"),
    (col("stamp").cast(pa.date32()), "stamp::date"),
    (col("zoned").cast(pa.date32()), "stamp::date"),
    (col("zoned").dt.month(), "month(stamp)"),
    (col("zoned").dt.truncate("month"), "date_trunc('month', stamp)::date"),
    (col("number").cast(pa.string()), "number::varchar"),
    (col("day").dt.year(), "year(day)"),
    (col("day").dt.month(), "month(day)"),
    (col("stamp").dt.day(), "day(stamp)"),
    (col("day").dt.truncate("month"), "date_trunc('month', day)::date"),
    (col("stamp").dt.truncate("year"), "date_trunc('year', stamp)::date"),
    (col("day") + 30, "day + 30"),
    (col("day") - dt.date(1992, 1, 1), "day - date '1992-01-01'"),
    (lit(3) - col("small"), "3 - small::bigint"),
]


def check(source, oracle, expression, sql) -> None:
    # The same instants with a zone: calendar parts are those of UTC all the same.
    rows = cr.scan(source).with_columns(zoned=col("stamp").cast(pa.timestamp("us", "America/New_York")))
    found = rows.select("id", x=expression).collect().sort_by("id").column("x").to_pylist()
    wanted = oracle.column(f"select {sql} from t order by id")
    assert len(found) == len(wanted)
    for mine, theirs in zip(found, wanted, strict=True):
        assert mine == (pytest.approx(theirs, rel=1e-12, nan_ok=True) if isinstance(theirs, float) else theirs)


@pytest.mark.parametrize(("expression", "sql"), CASES, ids=[sql for _, sql in CASES])
def test_vectorised(source, oracle, expression, sql) -> None:
    check(source, oracle, expression, sql)


# One compile each: the cases that say most about nulls, decimals and control flow in generated code.
FUSED = [CASES[i] for i in (0, 4, 5, 7, 13, 21, 22, 26, 28, 29, 33, 34, 41, 42, 43, 46)]


@pytest.mark.parametrize(("expression", "sql"), FUSED, ids=[sql for _, sql in FUSED])
@pytest.mark.usefixtures("fused")
def test_fused(source, oracle, expression, sql) -> None:
    check(source, oracle, expression, sql)


def test_every_operation_has_a_case() -> None:
    used = {n.op for expression, _ in CASES for n in walk(expression.node)}
    # What aggregates compute by themselves is tested with them, in test_aggregates.py.
    assert set(OPERATIONS) - {"coarse", "sketch_register", "sketch_rank"} <= used


def test_filter_keeps_only_true(source, oracle) -> None:
    kept = cr.scan(source).filter((col("small") > 0) | col("flag")).select("id").collect().column("id").to_pylist()
    assert sorted(kept) == oracle.column("select id from t where small > 0 or flag order by id")


@pytest.mark.usefixtures("fused")
def test_fused_filter_keeps_only_true(source, oracle) -> None:
    kept = cr.scan(source).filter((col("small") > 0) | col("flag")).select("id", "city").collect()
    assert sorted(kept.column("id").to_pylist()) == oracle.column(
        "select id from t where small > 0 or flag order by id"
    )


def test_sum_of_wide_integers_is_an_error_not_a_wrap(tmp_path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"x": pa.array([2**62] * 4, pa.int64())}), tmp_path / "x.parquet")
    with pytest.raises(cr.errors.ArithmeticRangeError, match="does not fit int64"):
        cr.scan(str(tmp_path / "x.parquet")).group_by().agg(s=cr.sum("x")).collect()


@pytest.mark.parametrize("tier", ["vectorised", "fused"])
def test_overflow_in_an_expression_is_an_error(tmp_path, monkeypatch, tier) -> None:
    import pyarrow.parquet as pq

    if tier == "fused":
        monkeypatch.setattr("checkrow.run.physical.FUSE_ROWS", 0)
    pq.write_table(pa.table({"x": pa.array([1, 2**62], pa.int64())}), tmp_path / "x.parquet")
    ds = cr.scan(str(tmp_path / "x.parquet"))
    with pytest.raises(cr.errors.ArithmeticRangeError):
        ds.select(y=col("x") * 4).collect()
    # The row that would overflow is not asked for: no error.
    assert ds.filter(col("x") < 10).select(y=col("x") * 4).collect().column("y").to_pylist() == [4]


@pytest.mark.parametrize("tier", ["vectorised", "fused"])
def test_calendar_parts_of_stored_zoned_times_are_those_of_utc(tmp_path, monkeypatch, tier) -> None:
    import pyarrow.parquet as pq

    if tier == "fused":
        monkeypatch.setattr("checkrow.run.physical.FUSE_ROWS", 0)
    hours = [dt.datetime(2023, 12, 31, h, 30, tzinfo=dt.UTC) + dt.timedelta(h) for h in range(24)]
    pq.write_table(pa.table({"t": pa.array(hours, pa.timestamp("us", "Asia/Kolkata"))}), tmp_path / "t.parquet")
    parts = col("t").dt
    found = cr.scan(str(tmp_path / "t.parquet")).select(y=parts.year(), m=parts.month(), d=parts.day()).collect()
    wanted = [(h.year, h.month, h.day) for h in hours]
    assert list(zip(*(c.to_pylist() for c in found.columns), strict=True)) == wanted


@pytest.mark.parametrize("tier", ["vectorised", "fused"])
def test_a_cast_that_does_not_fit_is_an_error(tmp_path, monkeypatch, tier) -> None:
    import pyarrow.parquet as pq

    if tier == "fused":
        monkeypatch.setattr("checkrow.run.physical.FUSE_ROWS", 0)
    table = {"f": [1.5, float("inf"), 1e300], "d": pa.array([1, 2, 200_000], pa.int32()).cast(pa.date32())}
    pq.write_table(pa.table(table), tmp_path / "t.parquet")
    rows = cr.scan(str(tmp_path / "t.parquet"))
    for node in (col("f").cast(pa.float32()), col("d").cast(pa.timestamp("ns"))):
        with pytest.raises(cr.errors.ArithmeticRangeError):
            rows.select(x=node).collect()
    tame = rows.filter(col("d") < dt.date(1990, 1, 1))
    assert tame.select(x=col("f").cast(pa.float32())).collect()["x"].to_pylist() == [1.5, float("inf")]


def test_booleans_and_decimals_do_not_convert(source) -> None:
    for node in (col("flag").cast(pa.decimal128(3, 1)), col("price").cast(pa.bool_())):
        with pytest.raises(cr.errors.SchemaError, match="cannot be cast"):
            cr.scan(source).select(x=node)

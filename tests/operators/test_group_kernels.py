"""Group kernels: what they may be, what they may return, and the errors that name the user's line and the group."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import checkrow as cr
from checkrow import col, errors

HERE = Path(__file__).name
GAP = 10


@cr.group_kernel(
    returns={"start": pa.timestamp("us"), "end": pa.timestamp("us"), "events": pa.int64(), "amount": pa.float64()},
    shape="expand",
)
def sessions(ts, amount, out, *, gap_us):
    k = -1
    for i in range(len(ts)):
        if k < 0 or ts[i] - out.end[k] > gap_us:
            k += 1
            out.start[k] = ts[i]
        out.end[k] = ts[i]
        out.events[k] += 1
        out.amount[k] += amount[i]
    return k + 1


def events(rows: int, users: int, folder: str = "events") -> str:
    rng = np.random.default_rng(rows)
    Path(folder).mkdir()
    for part in range(3):
        table = pa.table(
            {
                "user": pa.array(rng.integers(0, users, rows)).cast(pa.string()),
                "ts": pa.array(rng.integers(0, 10**9, rows), pa.timestamp("us")),
                "amount": rng.normal(10, 3, rows),
            }
        )
        pq.write_table(table, f"{folder}/{part}.parquet", row_group_size=rows // 4 + 1)
    return folder


SESSIONS_SQL = """
with a as (select *, ts - lag(ts) over w > to_microseconds(1000000) as broken from 'events/*.parquet'
           window w as (partition by user order by ts)),
     b as (select *, sum(coalesce(broken, true)::int) over (partition by user order by ts) s from a)
select user, min(ts), max(ts), count(*), sum(amount) from b group by user, s order by 1, 2
"""


@pytest.mark.usefixtures("many_partitions")
@pytest.mark.parametrize(("capacity", "cleared", "given"), [(131_072, 1 << 18, 0.5), (64, 8, 0.0), (300, 1 << 18, 0.1)])
def test_sessions_equal_sql_and_are_committed(monkeypatch, capacity, cleared, given) -> None:
    """However often output arrays are emptied, cleared, given away and made anew, what is unwritten is 0."""
    import duckdb

    monkeypatch.setattr("checkrow.operators.groups._CAPACITY", capacity)
    monkeypatch.setattr("checkrow.operators.written._MOST_CLEARED", cleared)
    monkeypatch.setattr("checkrow.operators.written._GIVEN_SHARE", given)
    events(4_000, 300)
    run = cr.scan("events").group_by("user").apply(sessions.bind(gap_us=10**6), order_by="ts").write_parquet("out")
    wanted = duckdb.sql(SESSIONS_SQL).fetchall()
    found = duckdb.sql("select * from 'out/*.parquet' order by 1, 2").fetchall()
    assert [r[:4] for r in found] == [r[:4] for r in wanted]
    assert [r[4] for r in found] == pytest.approx([r[4] for r in wanted], rel=1e-9)
    assert (run.rows_in, run.rows_out) == (12_000, len(wanted))
    assert [s.name for s in run.steps] == ["read and scatter", "apply sessions and write"]


def test_plain_call_and_outputs_for() -> None:
    out = cr.outputs_for(sessions, 3)
    assert sessions(np.array([0, 5, 90]), np.array([1.0, 2.0, 3.0]), out, gap_us=GAP) == 2
    assert (out.start.tolist(), out.end.tolist(), out.events.tolist()) == ([0, 90, 0], [5, 90, 0], [2, 1, 0])


@pytest.mark.usefixtures("many_partitions")
def test_more_verbs_after_and_before(source, oracle) -> None:
    @cr.group_kernel(returns={"spread": pa.int64()})
    def spread(twice):
        return twice.max() - twice.min()

    found = (
        cr.scan(source)
        .filter(col("number").is_not_null() & (col("id") > 50))
        .with_columns(twice=col("number").cast(pa.int64()) * 2, half=col("small") > 0)
        .group_by("city", "half")
        .apply(spread)
        .filter((col("city") != "Oslo") & (col("spread") > 1000))
        .group_by("half")
        .agg(n=cr.count(), s=cr.sum("spread"))
        .collect()
    )
    wanted = oracle.rows(
        "with g as (select city, small > 0 half, max(number) * 2 - min(number) * 2 s from t "
        "where number is not null and id > 50 group by 1, 2) "
        "select half, count(*), sum(s) from g where city <> 'Oslo' and s > 1000 group by 1"
    )
    assert sorted(map(repr, zip(*found.to_pydict().values(), strict=True))) == sorted(map(repr, wanted))


def test_several_groupings_in_a_row(source) -> None:
    @cr.group_kernel(returns={"n": pa.int64()})
    def size(id):  # noqa: A002  # the column's name
        return len(id)

    @cr.group_kernel(returns={"most": pa.int64()})
    def most(n):
        return n.max()

    found = cr.scan(source).group_by("city", "flag").apply(size).group_by("city").apply(most).collect()
    counted = (
        cr.scan(source).group_by("city", "flag").agg(n=cr.count()).group_by("city").agg(most=cr.max("n")).collect()
    )
    assert found.sort_by("city").to_pydict() == counted.sort_by("city").to_pydict()


def test_types_arrive_as_declared(tmp_path) -> None:
    from decimal import Decimal

    pq.write_table(
        pa.table(
            {
                "k": [1, 1],
                "t": pa.array([1_500, 2_500], pa.timestamp("ms")),
                "d": [dt.date(1970, 1, 3), dt.date(1970, 1, 2)],
                "b": [True, False],
                "p": pa.array([Decimal("1.25"), Decimal("2.50")], pa.decimal128(9, 2)),
                "f": pa.array([0.5, 0.25], pa.float32()),
            }
        ),
        "x.parquet",
    )

    @cr.group_kernel(
        returns={
            "t2": pa.timestamp("us"),
            "d2": pa.date32(),
            "b2": pa.bool_(),
            "p2": pa.decimal128(9, 2),
            "f2": pa.float32(),
        },
        decimals="scaled",
    )
    def each(t, d, b, p, f):
        return t[1] - t[0], d[0] - d[1], b[0] and not b[1], p[0] + p[1], f[0] + f[1]

    found = cr.scan("x.parquet").group_by("k").apply(each).collect().to_pylist()
    assert found == [
        {"k": 1, "t2": dt.datetime(1970, 1, 1, 0, 0, 1), "d2": dt.date(1970, 1, 2), "b2": True, "p2": Decimal("3.75"),
         "f2": 0.75},
    ]  # fmt: skip


def test_an_exception_names_kernel_line_and_group(source) -> None:
    @cr.group_kernel(returns={"n": pa.int64()})
    def picky(id):  # noqa: A002  # the column's name
        if len(id) > 1 and id[0] == 4:
            raise ValueError("not this one")
        return len(id)

    ds = cr.scan(source).with_columns(k=col("city")).group_by("k").apply(picky)
    place = rf"{HERE}:\d+, `raise ValueError\(.not this one.\)`"
    with pytest.raises(errors.KernelRowError, match=rf"group k='?\w+'?: kernel 'picky' \(.*{place}\) raised"):
        ds.write_parquet("out")
    assert not Path("out").exists()


def test_an_index_outside_an_array_is_an_error(source) -> None:
    @cr.group_kernel(returns={"n": pa.int64()})
    def beyond(id):  # noqa: A002  # the column's name
        return id[len(id)]

    with pytest.raises(errors.KernelRowError, match=r"raised IndexError.*index is out of bounds"):
        cr.scan(source).group_by("city").apply(beyond).collect()


def test_too_many_rows(source) -> None:
    @cr.group_kernel(returns={"n": pa.int64()}, shape="expand")
    def claims(id, out):  # noqa: A002  # the column's name
        return len(id) + 1

    @cr.group_kernel(returns={"n": pa.int64()}, shape="expand", max_rows=2)
    def writes(id, out):  # noqa: A002  # the column's name
        for i in range(3):
            out.n[i] = i
        return 3

    with pytest.raises(errors.KernelRowError, match=r"says it wrote \d+ rows; between 0 and \d+ are allowed"):
        cr.scan(source).group_by("city").apply(claims).collect()
    with pytest.raises(errors.KernelRowError, match=r"raised IndexError.*max_rows="):
        cr.scan(source).group_by("city").apply(writes).collect()


def test_a_wrong_length_is_an_error(source) -> None:
    @cr.group_kernel(returns={"a": pa.int64(), "b": pa.int64()}, shape="map")
    def cut(id):  # noqa: A002  # the column's name
        return id, id[1:]

    with pytest.raises(errors.KernelRowError, match="returned 130 values for 'b'; the group has 131 rows"):
        cr.scan(source).group_by("city").apply(cut).collect()


def test_a_value_that_does_not_fit_is_an_error(source) -> None:
    @cr.group_kernel(returns={"n": pa.int8()})
    def size(id):  # noqa: A002  # the column's name
        return len(id)

    with pytest.raises(errors.ArithmeticRangeError, match="value for 'n' that does not fit int8"):
        cr.scan(source).group_by("flag").apply(size).collect()


def test_returned_arrays_are_not_cut() -> None:
    # 450 came out as -62, and 1.5 as 1.
    pq.write_table(pa.table({"k": [1, 1, 2], "x": [100, 50, 300]}), "x.parquet")

    @cr.group_kernel(returns={"n": pa.int8(), "f": pa.float32()}, shape="map")
    def narrow(x):
        return x, x

    rows = cr.scan("x.parquet").group_by("k")
    with pytest.raises(errors.ArithmeticRangeError, match="group k=2: .*value for 'n' that does not fit int8"):
        rows.apply(narrow).collect()
    kept = rows.apply(narrow).collect(bad_rows=cr.BadRows("null")).to_pylist()
    assert [r["n"] for r in kept] == [100, 50, None]

    @cr.group_kernel(returns={"n": pa.int64()}, shape="map")
    def halves(x):
        return x / 2

    with pytest.raises(errors.KernelTypeError, match=r"returns array\(float64, 1d, C\) for 'n', declared int64"):
        rows.apply(halves).collect()


def test_the_number_of_values_is_told_in_our_words(source) -> None:
    @cr.group_kernel(returns={"a": pa.int64(), "b": pa.int64()})
    def one(id):  # noqa: A002  # the column's name
        return len(id)

    with pytest.raises(errors.KernelTypeError, match="returns int64 as what it gives; it must be a tuple of 2"):
        cr.scan(source).group_by("city").apply(one).collect()


def test_a_kernel_without_columns_needs_keys(source) -> None:
    # Without keys there were no columns at all, so no rows: it was never called.
    @cr.group_kernel(returns={"n": pa.int64()}, shape="expand")
    def one(out):
        return 1

    assert cr.scan(source).group_by("flag").apply(one).collect().num_rows == 3
    with pytest.raises(errors.PlanError, match="reads no column and there are no keys"):
        cr.scan(source).group_by().apply(one)


def test_forbidden_nulls_name_the_column_and_the_group(source) -> None:
    @cr.group_kernel(returns={"s": pa.int64()})
    def total(number):
        return number.sum()

    with pytest.raises(errors.KernelRowError, match=r"group city=.*forbids nulls but column 'number' holds one"):
        cr.scan(source).group_by("city").apply(total).collect()


def test_a_kernel_that_does_not_type(source) -> None:
    @cr.group_kernel(returns={"s": pa.int64()})
    def wrong(ratio):
        x = ratio[0]
        return x.upper()

    with pytest.raises(errors.KernelTypeError) as caught:
        cr.scan(source).filter(col("ratio").is_not_null()).group_by("city").apply(wrong).collect()
    line = next(n for n, t in enumerate(Path(__file__).read_text().splitlines(), 1) if "x.upper()" in t)
    assert f"{HERE}:{line}: kernel 'wrong' does not compile" in str(caught.value)
    assert "ratio (double)" in str(caught.value)


def test_floats_where_integers_were_declared(source) -> None:
    @cr.group_kernel(returns={"s": pa.int64()})
    def half(id):  # noqa: A002  # the column's name
        return len(id) / 2

    with pytest.raises(errors.KernelTypeError, match="returns float64 for 's', declared int64"):
        cr.scan(source).group_by("city").apply(half).collect()


def test_what_the_decorator_refuses() -> None:
    def reads(x):
        return x

    def writes(x, out):
        return 1

    returns = {"a": pa.int64()}
    for build, text in (
        (lambda: cr.group_kernel(returns=returns, shape="rows"), "shape='rows'"),
        (lambda: cr.group_kernel(returns=returns, shape="expand")(reads), "no argument `out`"),
        (lambda: cr.group_kernel(returns=returns)(writes), "takes no `out`"),
        (lambda: cr.group_kernel(returns={"a b": pa.int64()}, shape="map")(writes), "'a b' cannot be written as out"),
        (lambda: cr.group_kernel(returns=returns, max_rows=3)(reads), "max_rows=3"),
        (lambda: cr.group_kernel(returns=returns, nulls="propagate")(reads), "nulls='propagate'"),
        (lambda: cr.group_kernel(returns=returns, nulls={"y": 1})(reads), "names 'y'"),
        (lambda: cr.group_kernel(returns={"a": pa.list_(pa.int64())})(reads), "cannot return list"),
        (lambda: cr.group_kernel(returns={"a": pa.decimal128(38, 2)})(reads), "cannot return decimal128"),
    ):
        with pytest.raises(errors.CheckrowError, match=text):
            build()


def test_plan_errors_come_before_any_work(source) -> None:
    @cr.group_kernel(returns={"city": pa.int64()})
    def clash(id):  # noqa: A002  # the column's name
        return len(id)

    @cr.group_kernel(returns={"n": pa.int64()})
    def needs(idd):
        return len(idd)

    @cr.group_kernel(returns={"n": pa.int64()})
    def fine(id):  # noqa: A002  # the column's name
        return len(id)

    with pytest.raises(errors.PlanError, match="'city' is a key and an output"):
        cr.scan(source).group_by("city").apply(clash)
    with pytest.raises(errors.SchemaError, match="did you mean 'id'"):
        cr.scan(source).group_by("city").apply(needs)
    with pytest.raises(errors.SchemaError, match="no column 'tss'"):
        cr.scan(source).group_by("city").apply(fine, order_by="tss")


def test_a_group_larger_than_the_output_arrays(monkeypatch) -> None:
    monkeypatch.setattr("checkrow.operators.groups._CAPACITY", 7)
    events(200, 3)
    kernel = sessions.bind(gap_us=1)
    found = cr.scan("events").group_by("user").apply(kernel, order_by="ts").collect()
    assert found.num_rows == 600
    assert sorted(found.column("events").to_pylist()) == [1] * 600


def test_changing_a_parameter_compiles_nothing() -> None:
    from checkrow.compile.cache import driver_cache

    events(50, 3)
    ds = cr.scan("events").group_by("user")
    ds.apply(sessions.bind(gap_us=5), order_by="ts").collect()
    before = driver_cache().statistics.compiled
    few = ds.apply(sessions.bind(gap_us=10**9), order_by="ts").collect()
    assert driver_cache().statistics.compiled == before
    assert few.num_rows == 3


def test_interpreted_gives_the_same() -> None:
    import subprocess
    import sys

    from tests.conftest import environment

    events(300, 5)
    code = (
        "import warnings; warnings.simplefilter('error')\n"
        "import checkrow as cr, pyarrow.parquet as pq\n"
        "from tests.operators.test_group_kernels import sessions\n"
        "t = cr.scan('events').group_by('user').apply(sessions.bind(gap_us=10**6), order_by='ts').collect()\n"
        "pq.write_table(t, 'plain.parquet')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(CHECKROW_JIT="0"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    compiled = cr.scan("events").group_by("user").apply(sessions.bind(gap_us=10**6), order_by="ts").collect()
    assert pq.read_table("plain.parquet").equals(compiled)


@pytest.mark.parametrize(("kind", "value"), [(pa.int8(), 128), (pa.uint16(), -1), (pa.decimal128(3, 1), 1_000)])
@pytest.mark.parametrize("shape", ["map", "expand"])
def test_a_number_written_beyond_its_column_is_an_error(kind, value, shape) -> None:
    """It was cut to the column's width without a word."""
    pq.write_table(pa.table({"k": [1, 1, 2], "x": [1, value, 7]}), "beyond.parquet")

    @cr.group_kernel(returns={"y": kind}, shape=shape)
    def written(x, out):
        for i in range(len(x)):
            out.y[i] = x[i]
        return len(x)

    ds = cr.scan("beyond.parquet").group_by("k").apply(written)
    with pytest.raises(errors.ArithmeticRangeError, match=r"group k=1: kernel 'written' .* 'y' that does not fit"):
        ds.collect()
    found = ds.collect(bad_rows=cr.BadRows("null")).to_pylist()
    assert [r["k"] for r in found] == ([1, 1, 2] if shape == "map" else [2])
    assert [int(r["y"].scaleb(1)) if hasattr(r["y"], "scaleb") else r["y"] for r in found if r["y"]] == [7]

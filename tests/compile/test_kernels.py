"""Row kernels: capture, calling, nulls, types, errors that name the user's file and line."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

import checkrow as cr
from checkrow import col, errors

HERE = Path(__file__).name
LIMIT = 3
TABLE = {"a": 1}


def helper(x):
    return math.sqrt(x) + LIMIT


def test_plain_call_runs_plain_python() -> None:
    @cr.row_kernel(returns=pa.float64())
    def root(x):
        return helper(x)

    assert root(16.0) == 7.0


def test_annotations_give_the_type() -> None:
    @cr.row_kernel
    def half(x) -> float:
        return x / 2

    assert half.spec.returns[0].dtype == "double"
    with pytest.raises(errors.KernelTypeError, match="does not say what it returns"):
        cr.row_kernel(lambda_like)


def lambda_like(x):
    return x


def test_propagates_nulls(source, oracle) -> None:
    @cr.row_kernel(returns={"y": pa.float64(), "z": pa.int32()})
    def both(number, ratio):
        return number * ratio, number // 2

    found = cr.scan(source).map(both).select("id", "y", "z").collect().sort_by("id")
    wanted = oracle.rows(
        "select number * ratio, case when ratio is null then null else floor(number / 2)::int end from t order by id"
    )
    for mine, theirs in zip(zip(*(found.column(c).to_pylist() for c in "yz"), strict=True), wanted, strict=True):
        assert mine == (pytest.approx(theirs[0]) if theirs[0] is not None else None, theirs[1])


def test_forbidden_null_names_file_row_and_column(source) -> None:
    @cr.row_kernel(returns={"y": pa.int64()}, nulls="forbid")
    def same(number):
        return number

    with pytest.raises(
        errors.KernelRowError, match=r"\.parquet, row group \d+, row \d+: kernel 'same' .* forbids nulls.*number"
    ):
        cr.scan(source).map(same).collect()
    kept = cr.scan(source).filter(col("number").is_not_null()).map(same).collect()
    assert kept.column("y").null_count == 0


def test_an_exception_names_file_row_and_kernel(source) -> None:
    @cr.row_kernel(returns={"y": pa.int64()})
    def strict(id):  # noqa: A002  # the column's name
        if id == 333:
            raise ValueError("unlucky")
        return id

    with pytest.raises(
        errors.KernelRowError, match=rf"0\.parquet, row group 1, row 83: kernel 'strict' .*{HERE}:\d+.* unlucky"
    ):
        cr.scan(source).map(strict).collect()
    assert cr.scan(source).filter(col("id") != 333).map(strict).collect().num_rows == 1_999


def test_a_result_that_does_not_fit_is_an_error(source) -> None:
    @cr.row_kernel(returns={"y": pa.int8()})
    def narrow(id):  # noqa: A002  # the column's name
        return id

    with pytest.raises(
        errors.ArithmeticRangeError, match=r"row 128: kernel 'narrow' .* returned a value that does not fit int8"
    ):
        cr.scan(source).map(narrow).collect()


def test_a_kernel_that_does_not_type(source) -> None:
    @cr.row_kernel(returns={"y": pa.float64()})
    def wrong(ratio, flag):
        x = ratio + 1
        return x.upper()

    with pytest.raises(errors.KernelTypeError) as caught:
        cr.scan(source).map(wrong).collect()
    text = str(caught.value)
    line = next(n for n, t in enumerate(Path(__file__).read_text().splitlines(), 1) if "x.upper()" in t)
    assert f"{HERE}:{line}: kernel 'wrong' does not compile" in text
    assert "return x.upper()" in text
    assert "ratio (double)" in text


def test_floats_where_integers_were_declared(source) -> None:
    @cr.row_kernel(returns={"y": pa.int64()})
    def cut(ratio):
        return ratio / 2

    with pytest.raises(errors.KernelTypeError, match="returns float64 for 'y', declared int64"):
        cr.scan(source).map(cut).collect()


def test_decimals_must_be_chosen(source) -> None:
    @cr.row_kernel(returns={"y": pa.float64()})
    def undecided(price):
        return price

    with pytest.raises(errors.KernelTypeError, match='decimals="scaled"'):
        cr.scan(source).map(undecided)

    @cr.row_kernel(returns={"y": pa.float64()}, decimals="float64")
    def floating(price):
        return price

    found = cr.scan(source).map(floating).select("price", "y").collect()
    assert found.column("y").to_pylist() == [None if p is None else float(p) for p in found.column("price").to_pylist()]


def test_times_arrive_in_one_unit(tmp_path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(
        pa.table({"t": pa.array([1_500, None], pa.timestamp("ms")), "n": pa.array([1, 2], pa.timestamp("ns"))}),
        "x.parquet",
    )

    @cr.row_kernel(returns={"y": pa.int64()})
    def micros(t):
        return t

    assert cr.scan("x.parquet").map(micros).collect().column("y").to_pylist() == [1_500_000, None]

    @cr.row_kernel(returns={"y": pa.int64()})
    def finer(n):
        return n

    with pytest.raises(errors.KernelTypeError, match="finer units"):
        cr.scan("x.parquet").map(finer)


def test_a_kernel_as_an_expression_and_as_a_filter(source, oracle) -> None:
    @cr.row_kernel(returns=pa.bool_())
    def odd(x):
        return x % 2 != 0

    kept = cr.scan(source).filter(odd(col("id"))).collect()
    assert kept.num_rows == 1_000
    assert cr.scan(source).with_columns(x=col("id")).filter(odd).collect().num_rows == 1_000


def test_parameters(source) -> None:
    @cr.row_kernel(returns={"y": pa.int64()})
    def add(id, *, n, sign=1):  # noqa: A002  # the column's name
        return id + n * sign

    assert cr.scan(source).map(add.bind(n=5)).head(1).column("y").to_pylist() == [5]
    assert cr.scan(source).map(add.bind(n=5).bind(sign=-1)).head(1).column("y").to_pylist() == [-5]
    assert add(1, n=2) == 3
    with pytest.raises(errors.PlanError, match="has no value"):
        cr.scan(source).map(add)
    with pytest.raises(errors.PlanError, match="no keyword-only parameter"):
        add.bind(m=1)
    with pytest.raises(errors.PlanError, match="must be a number"):
        add.bind(n="5")


@pytest.mark.parametrize("kind", ["lambda", "dict", "module", "undefined", "stars"])
def test_what_cannot_be_captured(kind) -> None:
    def uses_dict(x):
        return TABLE["a"] + x

    def uses_module(x):
        return Path.cwd() if x else 0

    def uses_undefined(x):
        return nothing_of_this_name(x)  # noqa: F821

    def stars(*x):
        return x

    functions = {
        "lambda": lambda x: x,
        "dict": uses_dict,
        "module": uses_module,
        "undefined": uses_undefined,
        "stars": stars,
    }
    texts = {
        "lambda": "a lambda",
        "dict": "'TABLE', a dict",
        "module": "'Path'",
        "undefined": "undefined name",
        "stars": r"\*args",
    }
    with pytest.raises(errors.KernelTypeError, match=texts[kind]):
        _ = cr.row_kernel(returns=pa.float64())(functions[kind]).spec


def test_fingerprint_follows_helpers_and_constants_not_comments() -> None:
    namespace: dict[str, object] = {}
    assert namespace == {}

    def make(text: str) -> str:
        path = Path(f"k{abs(hash(text))}.py")
        path.write_text(text)
        code: dict[str, object] = {"__file__": str(path), "np": np}
        exec(compile(text, str(path), "exec"), code)  # a module of the test's own
        return cr.row_kernel(returns=pa.float64())(code["f"]).spec.fingerprint  # type: ignore[arg-type]

    base = make("C = 2\ndef g(x):\n    return x + C\ndef f(x):\n    return g(x)\n")
    assert make("C = 2\n\n\ndef g(x):\n    # why\n    return x + C\ndef f(x):\n    return g(x)\n") == base
    assert make("C = 3\ndef g(x):\n    return x + C\ndef f(x):\n    return g(x)\n") != base
    assert make("C = 2\ndef g(x):\n    return x - C\ndef f(x):\n    return g(x)\n") != base


@cr.row_kernel(returns={"same": pa.uint64(), "square": pa.int64(), "odd": pa.bool_()})
def beyond_doubles(a, c):
    return a, c * c, a & 1


@pytest.mark.parametrize("null", [[], [None]])
def test_a_null_elsewhere_does_not_make_integers_pass_through_floats(tmp_path: Path, null: list[None]) -> None:
    # The branch for null arguments held an int64 zero; unified with uint64 it made every result a double.
    a, c = [2**53 + 1, 2**64 - 1, 4], [200_000_001, 3_037_000_499, 1]
    table = pa.table({"a": pa.array(a + null, pa.uint64()), "c": pa.array(c + null, pa.uint32())})
    pa.parquet.write_table(table, tmp_path / "a.parquet")
    found = cr.scan(str(tmp_path / "a.parquet")).map(beyond_doubles).collect()
    assert found["same"].to_pylist() == a + null
    assert found["square"].to_pylist() == [x * x for x in c] + null
    assert found["odd"].to_pylist() == [x % 2 == 1 for x in a] + null


@cr.row_kernel(returns={"week": pa.timestamp("us"), "quarter": pa.timestamp("us"), "leap": pa.bool_()})
def periods(stamp, day):
    year, _, _ = cr.calendar.civil_from_days(day)
    leap = cr.calendar.days_from_civil(year, 3, 1) - cr.calendar.days_from_civil(year, 2, 1) == 29
    return cr.calendar.floor_week(stamp), cr.calendar.floor_quarter(stamp), leap


def test_the_calendar_in_kernels(source, oracle) -> None:
    found = cr.scan(source).filter(col("stamp").is_not_null() & col("day").is_not_null()).map(periods).collect()
    wanted = oracle.rows(
        "select date_trunc('week', stamp)::timestamp, date_trunc('quarter', stamp)::timestamp,"
        " last_day(make_date(year(day), 2, 1)) = make_date(year(day), 2, 28) from t"
        " where stamp is not null and day is not null order by id"
    )
    assert found["week"].to_pylist() == [w[0] for w in wanted]
    assert found["quarter"].to_pylist() == [w[1] for w in wanted]
    assert found["leap"].to_pylist() == [not w[2] for w in wanted]
    assert cr.calendar.weekday(0) == 3


FACTOR = 10


@cr.row_kernel(returns={"times": pa.int64()})
def times_factor(number):
    return number * FACTOR


def test_a_constant_counts_as_it_is_when_the_plan_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # It was taken at the first use and kept: a notebook went on with the old value.
    pa.parquet.write_table(pa.table({"number": [1, 2]}), tmp_path / "a.parquet")
    rows = cr.scan(str(tmp_path / "a.parquet"))
    before = rows.map(times_factor)
    monkeypatch.setitem(globals(), "FACTOR", 20)
    after = rows.map(times_factor)
    assert before.collect()["times"].to_pylist() == [10, 20]
    assert after.collect()["times"].to_pylist() == [20, 40]
    assert before.plan_parquet("x").fingerprint != after.plan_parquet("x").fingerprint


@cr.row_kernel(returns={"product": pa.int64(), "difference": pa.int64(), "opposite": pa.int64(), "shifted": pa.int64()})
def whole(a, b, i):
    return b * b, a - b, -i, i << 3


@cr.row_kernel(returns=pa.int64())
def as_signed(u):
    return u


def test_whole_numbers_arrive_as_int64_however_narrow(tmp_path: Path) -> None:
    # Compiled, unsigned differences came out as 2**64 - n; interpreted, bytes wrapped at 256.
    table = pa.table({"a": pa.array([1, 255], pa.uint8()), "b": pa.array([300, 65_535], pa.uint16()),
                      "i": pa.array([-128, 100], pa.int8()), "u": pa.array([1, 2**63], pa.uint64())})  # fmt: skip
    pa.parquet.write_table(table, tmp_path / "a.parquet")
    rows = cr.scan(str(tmp_path / "a.parquet"))
    found = rows.map(whole).collect().to_pylist()
    assert [tuple(r[c] for c in ("product", "difference", "opposite", "shifted")) for r in found] == [
        (90_000, -299, 128, -1_024),
        (65_535**2, 255 - 65_535, -100, 800),
    ]
    with pytest.raises(errors.ArithmeticRangeError, match="row 1: kernel 'as_signed' .*does not fit int64"):
        rows.map(as_signed).collect()


def test_a_kernel_is_judged_by_what_this_plan_makes_of_it(tmp_path: Path) -> None:
    # All types it had been compiled for counted: once refused for a column of floats, it was for every other.
    @cr.row_kernel(returns={"y": pa.int64()})
    def same(x):
        return x

    pa.parquet.write_table(pa.table({"x": [0.5]}), tmp_path / "floats.parquet")
    pa.parquet.write_table(pa.table({"x": [5]}), tmp_path / "numbers.parquet")
    for _ in range(2):
        with pytest.raises(errors.KernelTypeError, match="returns float64 for 'y', declared int64"):
            cr.scan(str(tmp_path / "floats.parquet")).map(same).collect()
    assert cr.scan(str(tmp_path / "numbers.parquet")).map(same).collect()["y"].to_pylist() == [5]


def test_a_wrong_number_of_values_names_the_kernel(tmp_path: Path) -> None:
    @cr.row_kernel(returns={"y": pa.int64(), "z": pa.int64()})
    def alone(x):
        return x

    pa.parquet.write_table(pa.table({"x": [5]}), tmp_path / "numbers.parquet")
    with pytest.raises(errors.KernelTypeError, match="'alone' returns int64 as what it gives; it must be a tuple of 2"):
        cr.scan(str(tmp_path / "numbers.parquet")).map(alone).collect()


def test_durations_arrive_in_one_unit(tmp_path: Path) -> None:
    # Only timestamps were converted; a duration in milliseconds was refused.
    table = pa.table({"d": pa.array([1_500, None], pa.duration("ms")), "n": pa.array([1, 2], pa.duration("ns"))})
    pa.parquet.write_table(table, tmp_path / "d.parquet")
    rows = cr.scan(str(tmp_path / "d.parquet"))

    @cr.row_kernel(returns={"y": pa.int64()})
    def micros(d):
        return d

    assert rows.map(micros).collect()["y"].to_pylist() == [1_500_000, None]
    there_and_back = col("d").cast(pa.duration("us")).cast(pa.duration("ms"))
    assert rows.select(d=there_and_back).collect()["d"].cast(pa.int64()).to_pylist() == [1_500, None]
    with pytest.raises(errors.ArithmeticRangeError, match="would lose data: 1500"):
        rows.select(d=col("d").cast(pa.duration("s"))).collect()

    @cr.row_kernel(returns={"y": pa.int64()})
    def finer(n):
        return n

    with pytest.raises(errors.KernelTypeError, match="finer units"):
        rows.map(finer)

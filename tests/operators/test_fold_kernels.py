"""Fold kernels: what they may be, what they give, and the errors that name the user's line, the group and the row."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import checkrow as cr
from checkrow import col, errors
from checkrow.compile.cache import driver_cache
from checkrow.operators.bad_rows import BadRowKeeper
from checkrow.operators.column import Column, Columns
from checkrow.operators.groups import GroupCaller
from checkrow.plan.bad_rows import QUARANTINE
from checkrow.plan.logical import schema_of
from checkrow.plan.stages import CollectSink, ScatterSink, cut
from tests.conftest import environment

HERE = Path(__file__).name


@cr.fold_kernel(returns={"balance": pa.int64(), "peak": pa.int64(), "below": pa.bool_()}, nulls={"number": 0})
class Account:
    """A balance, its highest value so far, and whether it is below that by more than a limit."""

    def init(*, opening=0):
        return opening, opening

    def step(state, number, *, limit):
        balance = state[0] + number
        peak = max(state[1], balance)
        return (balance, peak), (balance, peak, peak - balance > limit)


@cr.fold_kernel(returns=pa.float64())
class Smooth:
    @staticmethod
    def init():
        return 0.0

    @staticmethod
    def step(state, x, x_valid, *, share):
        if x_valid:
            state += share * (x - state)
        return state, state


@cr.fold_kernel(returns={"number": pa.int64()})
class Numbered:
    def init():
        return 0

    def step(state):
        return state + 1, state


def line_of(text: str) -> int:
    return next(n for n, t in enumerate(Path(__file__).read_text().splitlines(), 1) if text in t)


ACCOUNT_SQL = """
with a as (select city, id, 100 + sum(coalesce(number, 0)) over w b from t
           window w as (partition by city order by id desc rows unbounded preceding)),
     p as (select *, greatest(100, max(b) over (partition by city order by id desc rows unbounded preceding)) p from a)
select city, b, p, p - b > 5000 from p order by city nulls last, id desc
"""


@pytest.mark.usefixtures("many_partitions", "many_slices")
def test_equals_sql_and_is_committed(source, oracle) -> None:
    rows = cr.scan(source).group_by("city")
    run = rows.apply(Account.bind(limit=5_000, opening=100), order_by=col("id").desc()).write_parquet("out")
    assert (run.rows_in, run.rows_out) == (2_000, 2_000)
    assert [s.name for s in run.steps] == ["read and scatter", "apply Account and write"]
    by_city: dict = {}
    for row in pq.read_table("out").to_pylist():
        by_city.setdefault(row["city"], []).append(tuple(row.values()))
    wanted: dict = {}
    for row in oracle.rows(ACCOUNT_SQL):
        wanted.setdefault(row[0], []).append(row)
    assert by_city == wanted


def test_plain_call_runs_plain_python() -> None:
    assert Smooth.bind(share=0.5)([4.0, 7.0, 8.0], [True, False, True]) == [2.0, 2.0, 5.0]
    assert Account.bind(limit=1)([5, -2, 1]) == ([5, 3, 4], [5, 5, 5], [False, True, False])
    assert Numbered.bind()() == []
    with pytest.raises(errors.PlanError, match="takes 2 sequences, not 1"):
        Smooth.bind(share=0.5)([1.0])
    with pytest.raises(errors.PlanError, match="'limit' of kernel 'Account' has no value"):
        Account([1])


def test_a_kernel_without_columns_numbers_rows(source) -> None:
    found = cr.scan(source).group_by("city").apply(Numbered, order_by="id").group_by("city")
    found = found.agg(n=cr.count(), top=cr.max("number"), s=cr.sum("number")).collect().to_pylist()
    assert sum(r["n"] for r in found) == 2_000
    assert all((r["top"], r["s"]) == (r["n"] - 1, r["n"] * (r["n"] - 1) // 2) for r in found)
    whole = cr.scan(source).group_by().apply(Numbered, order_by="id").collect()
    assert whole["number"].to_pylist() == list(range(2_000))
    with pytest.raises(errors.PlanError, match="reads no column and there are no keys"):
        cr.scan(source).group_by().apply(Numbered)


def test_more_verbs_before_and_after(source, oracle) -> None:
    found = (
        cr.scan(source)
        .filter(col("id") >= 500)
        .with_columns(x=col("number").cast(pa.float64()), half=col("small") > 0)
        .group_by("half", "city")
        .apply(Smooth.bind(share=1.0), order_by=["day", "id"])
        .filter(col("city").is_not_null())
        .group_by("half")
        .agg(n=cr.count(), top=cr.max("Smooth"))
        .collect()
    )
    wanted = oracle.rows(
        "with c as (select small > 0 half, city, last_value(number ignore nulls) over"
        " (partition by small > 0, city order by day nulls last, id rows unbounded preceding) v"
        " from t where id >= 500) select half, count(*), max(coalesce(v, 0))::double from c where city is not null group by 1"
    )
    assert sorted(map(repr, zip(*found.to_pydict().values(), strict=True))) == sorted(map(repr, wanted))


def test_types_arrive_as_declared() -> None:
    table = pa.table(
        {
            "t": pa.array([1_500, 2_500], pa.timestamp("ms")),
            "d": [dt.date(1970, 1, 3), dt.date(1970, 1, 2)],
            "b": [True, False],
            "p": pa.array([Decimal("1.25"), Decimal("2.50")], pa.decimal128(9, 2)),
            "n": pa.array([200, 255], pa.uint8()),
            "u": pa.array([2**64 - 1, 1], pa.uint64()),
            "out": pa.array([0.5, 0.25], pa.float32()),
        }
    )
    pq.write_table(table, "x.parquet")

    @cr.fold_kernel(
        returns={"t2": pa.timestamp("us"), "d2": pa.date32(), "b2": pa.bool_(), "p2": pa.decimal128(9, 2),
                 "n2": pa.int32(), "u2": pa.uint64(), "f2": pa.float32()},
        decimals="scaled",
    )  # fmt: skip
    class Each:
        def init():
            return 0, True

        def step(state, t, d, b, p, n, u, out):
            seen, even = state
            return (seen + n, not even), (t - 1, d + 1, b != even, p + p, -n - seen, u, out * 2)

    found = cr.scan("x.parquet").group_by().apply(Each).collect().to_pylist()
    first = {"t2": dt.datetime(1970, 1, 1, 0, 0, 1, 499_999), "d2": dt.date(1970, 1, 4), "b2": False,
             "p2": Decimal("2.50"), "n2": -200, "u2": 2**64 - 1, "f2": 1.0}  # fmt: skip
    second = {"t2": dt.datetime(1970, 1, 1, 0, 0, 2, 499_999), "d2": dt.date(1970, 1, 3), "b2": False,
              "p2": Decimal("5.00"), "n2": -455, "u2": 1, "f2": 0.5}  # fmt: skip
    assert found == [first, second]


@cr.fold_kernel(returns={"y": pa.int8()})
class Picky:
    def init():
        return 0

    def step(state, z):
        if z == 7:
            raise ValueError("seven")
        return state + 1, state * 40 // z


def small() -> cr.Dataset:
    table = pa.table({"k": ["a", "b", "c", "d", "e"] * 4, "o": list(range(20, 0, -1)), "z": [1] * 20})
    z = table["z"].to_pylist()
    z[1 + 5], z[2 + 10] = 7, 0  # in the order of o: row 2 of group b raises, row 1 of group c divides by zero
    table = table.set_column(2, "z", pa.array(z, pa.int32()))
    pq.write_table(table, "small.parquet", row_group_size=3)
    return cr.scan("small.parquet")


def test_an_exception_names_the_group_and_the_row_within_it() -> None:
    rows = small()
    raised, divided = line_of('raise ValueError("seven")'), line_of("state * 40 // z")
    place = rf"kernel 'Picky' \(.*{HERE}:{raised}, `raise .*`\)"
    with pytest.raises(errors.KernelRowError, match=rf"^group k='b', row 2: {place} raised ValueError: seven"):
        rows.filter(col("k") == "b").group_by("k").apply(Picky, order_by="o").write_parquet("out")
    place = rf"kernel 'Picky' \(.*{HERE}:{divided}, `.*//.*`\)"
    with pytest.raises(errors.KernelRowError, match=rf"^group k='c', row 1: {place} raised ZeroDivisionError"):
        rows.filter(col("k") == "c").group_by("k").apply(Picky, order_by="o").write_parquet("out")
    assert not Path("out").exists()


def test_a_value_that_does_not_fit_names_the_row() -> None:
    narrow = small().filter(col("k") == "a").group_by("k")
    assert narrow.apply(Picky, order_by="o").collect()["y"].to_pylist() == [0, 40, 80, 120]
    wider = small().filter(col("k").is_in(["a", "d"])).group_by().apply(Picky, order_by="o")
    with pytest.raises(
        errors.ArithmeticRangeError, match=r"^group of all rows, row 4: kernel 'Picky' .* 'y' that does not fit int8"
    ):
        wider.collect()


def test_where_a_kernel_fails_null_stands_for_the_whole_group() -> None:
    run = small().group_by("k").apply(Picky, order_by="o").write_parquet("out", bad_rows=cr.BadRows("null"))
    found = pq.read_table("out").to_pylist()
    wanted = {k: [0, 40, 80, 120] for k in "ade"} | {k: [None] * 4 for k in "bc"}
    assert {k: [r["y"] for r in found if r["k"] == k] for k in "abcde"} == wanted
    assert (run.rows_out, run.rows_nulled) == (20, 8)


def partition(ds: cr.Dataset, rows: dict[str, np.ndarray]) -> tuple[GroupCaller, BadRowKeeper, Columns]:
    """Returns what calls the kernel of a plan, and rows as the exchange would hand them over."""
    sink = cut(ds.relation, CollectSink())[0].sink
    assert isinstance(sink, ScatterSink)
    keeper, names = BadRowKeeper(QUARANTINE), sink.grouping.columns()
    columns = tuple(Column(node.dtype, rows[node.name]) for _, node in names)
    caller = GroupCaller(sink.grouping, driver_cache(), keeper)
    return caller, keeper, Columns(tuple(n for n, _ in names), columns, len(columns[0]))


@pytest.mark.parametrize("capacity", [4, 1 << 17])
def test_groups_on_which_it_fails_may_leave(monkeypatch, capacity) -> None:
    monkeypatch.setattr("checkrow.operators.groups._CAPACITY", capacity)
    pq.write_table(pa.table({"k": pa.array([1], pa.int64()), "z": pa.array([1], pa.int32())}), "x.parquet")
    ds = cr.scan("x.parquet").group_by("k").apply(Picky)
    k, z = np.repeat(np.arange(4), 3), np.ones(12, np.int32)
    z[4], z[11] = 7, 0
    caller, keeper, columns = partition(ds, {"k": k, "z": z})
    pieces = list(caller.run([columns]))
    assert [v for p in pieces for v in p["k"].values] == [0, 0, 0, 2, 2, 2]
    assert [v for p in pieces for v in p["y"].values] == [0, 40, 80] * 2
    assert [(str(b.origin), b.row, b.rows, b.error) for b in keeper.rows] == [
        ("group k=1", 1, 3, "ValueError"),
        ("group k=3", 2, 3, "ZeroDivisionError"),
    ]
    assert schema_of(ds.relation)[1].dtype == "int8"


def test_forbidden_nulls_name_column_group_and_row() -> None:
    table = pa.table({"k": [1, 2, 2, 2], "o": [1, 3, 2, 1], "z": pa.array([1, None, 1, 1], pa.int32())})
    pq.write_table(table, "x.parquet")
    ds = cr.scan("x.parquet").group_by("k").apply(Picky, order_by="o")
    with pytest.raises(errors.KernelRowError, match=r"^group k=2, row 2: kernel 'Picky' .*column 'z' holds one; give"):
        ds.collect()
    found = ds.collect(bad_rows=cr.BadRows("null")).to_pylist()
    assert [(r["k"], r["y"]) for r in found] == [(1, 0), (2, None), (2, None), (2, None)]


def made(text: str, options: str = "returns={'y': pa.int64()}"):
    """Returns what a file of its own defines as `Made`."""
    path = Path(f"made_{abs(hash((text, options)))}.py")
    body = "\n".join("    " + line for line in text.splitlines())
    path.write_text(f"import checkrow as cr, pyarrow as pa\n@cr.fold_kernel({options})\nclass Made:\n{body}\n")
    space: dict = {"__name__": path.stem}
    exec(compile(path.read_text(), str(path.resolve()), "exec"), space)
    return space["Made"]


INIT = "def init():\n    return 0\n"
STEP = "def step(state, id):\n    return state, id\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (INIT, r"'Made' has no function step\(\); it needs init\(\) and step\(state, x, ...\), all without self"),
        (STEP, r"has no function init\(\)"),
        (
            INIT + STEP + "def carry(state):\n    return state\n",
            r"defines 'carry'; a fold kernel has init\(\) and step",
        ),
        (INIT + STEP + "LIMIT = 3\n", r"made_\d+.py:4: fold kernel 'Made' defines 'LIMIT'"),
        (INIT + "def step(self, state, id):\n    return state, id\n", "takes self"),
        (INIT + "def step():\n    return 0, 0\n", r"takes 0 positional arguments; it must be step\(state, x, ...\)"),
        ("def init(x):\n    return x\n" + STEP, r"it must be init\(\)"),
        ("def init():\n    return 'a'\n" + STEP, "must return a number or a tuple of numbers, not 'a'"),
        ("def init():\n    return ()\n" + STEP, "must return a number or a tuple of numbers"),
        ("def init():\n    return 2**63\n" + STEP, "does not fit 64 bits"),
        ("def init(*, a=1):\n    return a\ndef step(state, id, *, a=2):\n    return state, id\n", "has two defaults"),
        (INIT + "step = lambda state, id: (state, id)\n", "a lambda cannot be a kernel"),
    ],
)
def test_what_the_decorator_refuses(source, text, message) -> None:
    with pytest.raises(errors.CheckrowError, match=message):
        cr.scan(source).group_by("city").apply(made(text))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("returns={'y': pa.list_(pa.int64())}", "cannot return list"),
        ("returns=None", "does not say what it returns"),
        ("returns=pa.int64(), nulls='propagate'", "nulls='propagate'"),
        ("returns=pa.int64(), nulls={'y': 1}", "names 'y', which is none of"),
        ("returns=pa.int64(), decimals='exact'", "decimals='exact'"),
        ("returns=pa.int64(), time_unit='h'", "time_unit='h'"),
    ],
)
def test_which_options_are_refused(options, message) -> None:
    with pytest.raises(errors.CheckrowError, match=message):
        made(INIT + STEP, options)


@pytest.mark.parametrize(
    ("fill", "right"), [(0.5, False), (2**40, False), (True, False), (-5, True)], ids=["cut", "wraps", "bool", "fits"]
)
def test_what_stands_for_nulls_must_fit(source, fill, right) -> None:
    # It was cut, or ended in an error of NumPy's.
    kernel = made("def init():\n    return 0\ndef step(state, number):\n    return state, number\n",
                  f"returns={{'y': pa.int64()}}, nulls={{'number': {fill}}}")  # fmt: skip
    rows = cr.scan(source).group_by("city")
    if right:
        assert rows.apply(kernel).collect().num_rows == 2_000
    else:
        with pytest.raises(errors.KernelTypeError, match=rf"nulls= gives {fill} for column 'number', which is int32"):
            rows.apply(kernel)


@pytest.mark.parametrize(
    ("init", "out", "message"),
    [
        ("0", "state + id * 0.5, id", r"init\(\) makes state\[0\] an integer but step\(\) returns float64"),
        ("0, 0", "(state[0], state[1] / 2), id", r"init\(\) makes state\[1\] an integer but step\(\) returns float64"),
        ("0", "(state, id), id", r"as the state; it must be a single number, as init\(\) made it"),
        ("0, 0", "state[0], id", r"as the state; it must be a tuple of 2 numbers, as init\(\) made it"),
        ("(0,)", "0, id", r"as the state; it must be a tuple of 1 numbers, as init\(\) made it"),
        ("0", "id", r"step\(\) returns int64; it must return \(state, out\)"),
        ("0", "state, id, id", r"step\(\) returns UniTuple\(int64 x 3\); it must return \(state, out\)"),
        (
            "0",
            "state, (id, id)",
            "as what it gives beside the state; it must be a single number, as returns= declares 1",
        ),
        ("0", "state, id / 2", "returns float64 for 'y', declared int64; convert it"),
        ("0", "state.upper(), id", "does not compile in `return state.upper"),
    ],
)
def test_what_does_not_type_names_the_line(source, init, out, message) -> None:
    kernel = made(f"def init():\n    return {init}\ndef step(state, id):\n    return {out}\n")
    with pytest.raises(errors.KernelTypeError, match=rf"made_\d+.py:[67]: kernel 'Made'.*{message}"):
        cr.scan(source).group_by("city").apply(kernel).collect()


def test_groups_larger_than_the_output_arrays(source, monkeypatch) -> None:
    rows = cr.scan(source).group_by("city").apply(Account.bind(limit=1), order_by="id")
    wanted = rows.collect()
    monkeypatch.setattr("checkrow.operators.groups._CAPACITY", 7)
    assert rows.collect().equals(wanted)


def test_parameters_and_first_states_compile_nothing(source) -> None:
    rows = cr.scan(source).group_by("city")
    first = rows.apply(Account.bind(limit=1), order_by="id").collect()
    before = driver_cache().statistics.compiled
    second = rows.apply(Account.bind(limit=2, opening=1_000), order_by="id").collect()
    assert driver_cache().statistics.compiled == before
    assert [b - a for a, b in zip(*(t["balance"].to_pylist() for t in (first, second)), strict=True)] == [1_000] * 2_000


def test_what_a_plan_is_identified_by(source) -> None:
    def fingerprint(kernel) -> str:
        return cr.scan(source).group_by("city").apply(kernel, order_by="id").plan_parquet("out").fingerprint

    base = fingerprint(made(INIT + STEP))
    assert fingerprint(made(INIT + "# why\n" + STEP)) == base
    assert fingerprint(made(INIT.replace("0", "1") + STEP)) != base
    assert fingerprint(made(INIT + STEP.replace("state, id\n", "state + 0, id\n"))) != base
    assert fingerprint(made(INIT + STEP, "returns={'y': pa.int64()}, checked=False")) != base
    assert fingerprint(Account.bind(limit=1)) != fingerprint(Account.bind(limit=2))


def test_explain_says_how_rows_are_taken(source) -> None:
    plan = cr.scan(source).group_by("city").apply(Account.bind(limit=3), order_by=col("id").desc()).plan_parquet("out")
    assert (
        "call fold kernel Account(number, opening=0, limit=3) row by row from a new state for each group"
        in plan.explain()
    )
    assert "order them by id descending, nulls last" in plan.explain()


def test_the_first_failure_in_order_is_told_on_any_cut(monkeypatch) -> None:
    monkeypatch.setattr("checkrow.operators.groups._CAPACITY", 3)
    rows = small().filter(col("k").is_in(["a", "b", "c"])).group_by("k").apply(Picky, order_by="o")
    with pytest.raises(errors.KernelRowError, match="^group k='b', row 2: "):
        rows.collect(limits=cr.Limits(threads=1))


def test_an_index_outside_an_array_is_an_error_unless_unchecked(source) -> None:
    text = "def step(state, id):\n    box = np.zeros(2)\n    return state, box[5 if id >= 0 else 0]\n"
    path = Path("boxed.py")
    body = "\n".join("    " + line for line in (INIT + text).splitlines())
    path.write_text(
        f"import checkrow as cr, numpy as np, pyarrow as pa\n@cr.fold_kernel(returns=pa.float64())\nclass Made:\n{body}\n"
    )
    space: dict = {"__name__": "boxed"}
    exec(compile(path.read_text(), str(path.resolve()), "exec"), space)
    with pytest.raises(
        errors.KernelRowError, match=r"row 0: kernel 'Made' \(.*boxed.py:8, `return .*`\) raised IndexError"
    ):
        cr.scan(source).group_by("city").apply(space["Made"]).collect()


def test_interpreted_gives_the_same(source) -> None:
    import subprocess
    import sys

    code = (
        "import warnings; warnings.simplefilter('error')\n"
        "import checkrow as cr, pyarrow.parquet as pq\n"
        "from tests.operators.test_fold_kernels import Account, Smooth\n"
        f"rows = cr.scan({source!r}).with_columns(x=cr.col('ratio')).group_by('city')\n"
        "pq.write_table(rows.apply(Account.bind(limit=9), order_by='id').collect(), 'a.parquet')\n"
        "pq.write_table(rows.apply(Smooth.bind(share=0.3), order_by='id').collect(), 's.parquet')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(CHECKROW_JIT="0"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = cr.scan(source).with_columns(x=col("ratio")).group_by("city")
    assert pq.read_table("a.parquet").equals(rows.apply(Account.bind(limit=9), order_by="id").collect())
    assert pq.read_table("s.parquet").equals(rows.apply(Smooth.bind(share=0.3), order_by="id").collect())

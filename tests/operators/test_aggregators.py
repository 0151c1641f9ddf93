"""Aggregators: what they may be, both tiers, nulls, and the errors that name the user's line."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import checkrow as cr
from checkrow import col, errors

HERE = Path(__file__).name


@cr.aggregator(returns=pa.float64())
class Vwap:
    """Price weighted by quantity."""

    def init():
        return 0.0, 0

    def update(state, price, quantity):
        return state[0] + price * quantity, state[1] + quantity

    def merge(state, other):
        return state[0] + other[0], state[1] + other[1]

    def finish(state):
        return state[0] / state[1]


@cr.aggregator(returns=pa.int64())
class Above:
    """Counts values above a limit: the state is a bare number."""

    @staticmethod
    def init():
        return 0

    @staticmethod
    def update(state, x, *, limit):
        return state + (1 if x > limit else 0)

    @staticmethod
    def merge(state, other):
        return state + other

    @staticmethod
    def finish(state):
        return state


@cr.aggregator(returns=pa.bool_())
class Rising:
    """Whether values never fall, in the order of the input: floats that start at infinity, and a flag."""

    def init():
        return float("inf"), float("-inf"), True

    def update(state, x):
        first, last, ok = state
        return min(first, x), x, ok and x >= last

    def merge(state, other):
        return min(state[0], other[0]), other[1], state[2] and other[2] and state[1] <= other[0]

    def finish(state):
        return state[2]


def rows(ds) -> list:
    return sorted(map(repr, ds.collect().to_pylist()))


def test_plain_call() -> None:
    assert Vwap([10.0, 20.0], [1, 3]) == 17.5
    assert Above.bind(limit=2)([1, 2, 3, 4]) == 2
    assert Rising([1.0, 2.0, 2.0]) is True


@pytest.mark.usefixtures("many_partitions", "many_slices")
def test_equals_sql(source, oracle) -> None:
    found = (
        cr.scan(source)
        .filter(col("id") > 20)
        .group_by("city")
        .agg(
            v=Vwap(col("ratio") * 2.0, "id"),
            big=Above.bind(limit=100)("number"),
            n=cr.count(),
        )
        .collect()
    )
    wanted = oracle.rows(
        "select city, sum(case when ratio is not null then ratio * 2 * id end)"
        " / sum(case when ratio is not null then id end),"
        " case when count(number) > 0 then count(*) filter (number > 100) end, count(*) from t where id > 20 group by 1"
    )
    key = lambda r: str(r[0])  # noqa: E731
    mine = sorted(zip(*found.to_pydict().values(), strict=True), key=key)
    for a, b in zip(mine, sorted(wanted, key=key), strict=True):
        assert (a[0], a[2], a[3]) == (b[0], b[2], b[3])
        assert a[1] == pytest.approx(b[1], rel=1e-9, nan_ok=True)


def test_arguments_default_to_the_names_in_update(source) -> None:
    @cr.aggregator(returns=pa.int64())
    class Total:
        def init():
            return 0

        def update(state, id):  # noqa: A002  # the column's name
            return state + id

        def merge(state, other):
            return state + other

        def finish(state):
            return state

    own = cr.scan(source).group_by("flag").agg(s=Total())
    built_in = cr.scan(source).group_by("flag").agg(s=cr.sum("id"))
    assert rows(own) == rows(built_in)


@pytest.mark.usefixtures("many_slices")
def test_both_tiers_and_plain_python_give_the_same(source, monkeypatch) -> None:
    import subprocess
    import sys

    from tests.conftest import environment

    def ask():
        return (
            cr.scan(source).group_by("city").agg(v=Vwap("ratio", "id"), r=Rising("ratio"), a=Above.bind(limit=3)("id"))
        )

    with monkeypatch.context() as patch:
        patch.setattr("checkrow.operators.partial.PartialAggregate._vectorised", None)
        fused = ask().collect()
    monkeypatch.setattr("checkrow.operators.partial.PartialAggregate._can_fuse", lambda self: False)
    assert ask().collect().equals(fused)
    code = (
        "import warnings; warnings.simplefilter('error')\n"
        "import checkrow as cr, pyarrow.parquet as pq\n"
        "from tests.operators.test_aggregators import Vwap, Rising, Above\n"
        "from checkrow.plan import slices; slices.FLOOR_BYTES = 1\n"
        f"t = cr.scan({source!r}).group_by('city')"
        ".agg(v=Vwap('ratio', 'id'), r=Rising('ratio'), a=Above.bind(limit=3)('id')).collect()\n"
        "pq.write_table(t, 'plain.parquet')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(CHECKROW_JIT="0"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert pq.read_table("plain.parquet").equals(fused)


@pytest.mark.usefixtures("many_slices")
def test_order_of_rows_and_slices_is_kept() -> None:
    Path("x").mkdir()
    for part in range(4):
        pq.write_table(pa.table({"x": [float(part * 100 + i) for i in range(50)]}), f"x/{part}.parquet")
    assert cr.scan("x").group_by().agg(up=Rising("x")).collect().to_pylist() == [{"up": True}]
    pq.write_table(pa.table({"x": [1000.0, 1.0]}), "x/1.parquet")
    assert cr.scan("x").group_by().agg(up=Rising("x")).collect().to_pylist() == [{"up": False}]


def test_over_no_rows_the_value_is_null() -> None:
    pq.write_table(pa.table({"k": [1, 1, 2], "x": pa.array([None, None, 5], pa.int64())}), "x.parquet")
    found = cr.scan("x.parquet").group_by("k").agg(a=Above.bind(limit=0)("x")).collect()
    assert found.to_pylist() == [{"k": 1, "a": None}, {"k": 2, "a": 1}]
    none = cr.scan("x.parquet").filter(col("k") > 9).group_by().agg(a=Above.bind(limit=0)("x"))
    assert none.collect().to_pylist() == [{"a": None}]
    assert none.schema.field("a").nullable


def test_more_verbs_after_an_aggregator(source) -> None:
    found = (
        cr.scan(source).group_by("city", "flag").agg(a=Above.bind(limit=3)("id"))
        .filter(col("a") > 0).group_by("flag").agg(t=cr.sum("a")).collect()
    )  # fmt: skip
    wanted = cr.scan(source).filter(col("id") > 3).group_by("flag").agg(t=cr.count()).collect()
    assert sorted(map(repr, found.to_pylist())) == sorted(map(repr, wanted.to_pylist()))


def test_changing_a_parameter_compiles_nothing(source) -> None:
    from checkrow.compile.cache import driver_cache

    ds = cr.scan(source).group_by("city")
    first = rows(ds.agg(a=Above.bind(limit=3)("id")))
    before = driver_cache().statistics.compiled
    second = rows(ds.agg(a=Above.bind(limit=1000)("id")))
    assert driver_cache().statistics.compiled == before
    assert first != second


def wrong(method: str, text: str):
    """An aggregator with one method replaced."""
    methods = {
        "init": "def init():\n    return 0",
        "update": "def update(state, id):\n    return state + id",
        "merge": "def merge(state, other):\n    return state + other",
        "finish": "def finish(state):\n    return state",
        method: text,
    }
    body = "\n".join("    " + line for m in methods.values() for line in m.splitlines())
    path = Path(f"made_{abs(hash((method, text)))}.py")
    path.write_text(f"import checkrow as cr, pyarrow as pa\n@cr.aggregator(returns=pa.int8())\nclass Made:\n{body}\n")
    space: dict = {"__name__": path.stem}
    exec(compile(path.read_text(), str(path.resolve()), "exec"), space)
    return space["Made"], path


@pytest.mark.parametrize(
    ("method", "text", "message"),
    [
        ("init", "x = 1", r"no function init\(\)"),
        ("init", "def init():\n    return 'a'", r"init\(\) must return a number or a tuple of numbers"),
        ("init", "def init():\n    return ()", r"init\(\) must return a number or a tuple of numbers"),
        ("init", "def init(x):\n    return 0", r"init\(\) takes 1 positional arguments; it must be init\(\)"),
        ("update", "def update(state):\n    return state", r"update\(\) reads no column"),
        ("update", "def update(self, state, id):\n    return state", "takes self"),
        ("merge", "def merge(state):\n    return state", r"it must be merge\(state, other\)"),
        ("merge", "def merge(state, other, *, limit=1):\n    return state", None),
    ],
)
def test_what_the_decorator_refuses(source, method, text, message) -> None:
    if message is None:
        made, _ = wrong(method, text)
        assert made.bind(limit=4) is not made
        return
    with pytest.raises(errors.CheckrowError, match=message):
        wrong(method, text)[0]("id")


def test_a_state_that_would_be_cut(source) -> None:
    made, path = wrong("update", "def update(state, id):\n    return state + id * 0.5")
    with pytest.raises(errors.KernelTypeError, match=rf"{path}:6: kernel 'Made': init\(\) makes state\[0\] an integer"):
        cr.scan(source).group_by("city").agg(a=made("id")).collect()


def test_a_method_that_does_not_type(source) -> None:
    made, path = wrong("finish", "def finish(state):\n    return state.upper()")
    with pytest.raises(errors.KernelTypeError, match=rf"{path}:11: kernel 'Made' does not compile"):
        cr.scan(source).group_by("city").agg(a=made("id")).collect()


def test_a_value_that_does_not_fit(source) -> None:
    made, _ = wrong("finish", "def finish(state):\n    return state + 1000")
    with pytest.raises(
        errors.ArithmeticRangeError, match=r"finish\(\) of an aggregator: .*returned a value that does not fit int8"
    ):
        cr.scan(source).group_by("city").agg(a=made("id")).collect()


@pytest.mark.usefixtures("many_slices")
@pytest.mark.parametrize("method", ["update", "merge", "finish"])
def test_an_exception_names_the_method(source, method) -> None:
    head = {"update": "update(state, id)", "merge": "merge(state, other)", "finish": "finish(state)"}[method]
    made, _ = wrong(method, f"def {head}:\n    if state >= 0:\n        raise ValueError('no')\n    return state")
    with pytest.raises(errors.KernelRowError, match=r"'Made' .* raised ValueError: no"):
        cr.scan(source).group_by("city").agg(a=made("id")).collect()
    assert not Path("out").exists()


def test_decimals_must_be_chosen() -> None:
    from decimal import Decimal

    pq.write_table(pa.table({"x": pa.array([Decimal("1.50"), Decimal("2.25")], pa.decimal128(9, 2))}), "d.parquet")
    with pytest.raises(errors.KernelTypeError, match="choose decimals="):
        cr.scan("d.parquet").group_by().agg(a=Above.bind(limit=0)("x"))

    @cr.aggregator(returns=pa.decimal128(18, 2), decimals="scaled")
    class Most:
        def init():
            return 0

        def update(state, x):
            return max(state, x)

        def merge(state, other):
            return max(state, other)

        def finish(state):
            return state

    found = cr.scan("d.parquet").group_by().agg(a=Most("x")).collect()
    assert found.to_pylist() == [{"a": Decimal("2.25")}]

"""Errors at run time name the line of the user's file that raised, whatever kind of kernel it was in."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import checkrow as cr
from checkrow import errors
from checkrow.compile import failing_line
from checkrow.compile.cache import DriverCache
from checkrow.jobs.loading import load_job

TEXT = Path(__file__).read_text().splitlines()
HERE = Path(__file__).name


@pytest.fixture(autouse=True, params=["1", "0"], ids=["compiled", "interpreted"])
def jit(request, monkeypatch) -> str:
    monkeypatch.setenv("CHECKROW_JIT", request.param)
    pq.write_table(pa.table({"k": [1, 1, 2, 2, 2], "x": [1, 2, 3, 0, 7]}), "t.parquet", row_group_size=2)
    return request.param


def message(make) -> str:
    with pytest.raises(errors.KernelRowError) as caught:
        make(cr.scan("t.parquet")).collect()
    return str(caught.value)


def at(mark: str) -> str:
    """Returns how a message names the line that ends with a mark."""
    number = next(n for n, line in enumerate(TEXT, 1) if line.endswith(f"# {mark}"))
    return f"{HERE}:{number}, `{TEXT[number - 1].strip()}`"


def inverse(x):
    y = x - 3

    return 12 // y  # helper


@cr.row_kernel(returns=pa.int64())
def rows(x):
    total = 0
    for _ in range(3):
        if x == 3:
            raise ValueError("unlucky")  # row
        total += x
    return total


@cr.row_kernel(returns=pa.int64())
def through(x):
    if x < 0:
        return 0
    return inverse(x)  # caller


@cr.group_kernel(returns={"y": pa.int64()})
def group(x, *, most):
    total = 0
    for i in range(len(x)):
        total += x[i] // (x[i] - most)  # group
    return total


@cr.group_kernel(returns={"y": pa.int64()}, shape="expand")
def expand(x, out):
    n = 0
    for i in range(len(x)):
        out.y[n] = x[i]  # expand
        out.y[n + 1] = x[i]
        n += 2
    return n


@cr.aggregator(returns=pa.int64())
class Sum:
    def init():
        return 0

    def update(state, x, *, bad):
        if x == bad:
            raise KeyError("bad")  # update
        return state + x

    def merge(state, other):
        if state + other > 12:
            raise OverflowError("much")  # merge
        return state + other

    def finish(state, *, off):
        return 100 // (state - off)  # finish


def test_row_kernels() -> None:
    found = message(lambda ds: ds.map(rows))
    assert re.search(r"t\.parquet, row group 1, row 0: kernel 'rows' \(/.*\) raised ValueError: unlucky", found)
    assert at("row") in found


def test_helpers_with_the_line_that_called_them() -> None:
    found = message(lambda ds: ds.map(through))
    assert f"{at('helper')}, called at " in found
    assert at("caller").partition(",")[0] in found


def test_filters() -> None:
    assert at("row") in message(lambda ds: ds.filter(rows(cr.col("x")) > 1))


def test_group_kernels() -> None:
    found = message(lambda ds: ds.group_by("k").apply(group.bind(most=7)))
    assert found.startswith("group k=2: kernel 'group' (")
    assert at("group") in found
    assert at("expand") in message(lambda ds: ds.group_by("k").apply(expand))


@pytest.mark.usefixtures("many_slices")
@pytest.mark.parametrize(("mark", "bad", "off"), [("update", 7, 0), ("merge", 99, -1), ("finish", 99, 3)])
def test_every_method_of_an_aggregator(mark, bad, off) -> None:
    source = cr.scan("t.parquet") if mark == "merge" else cr.scan("t.parquet").filter(cr.col("x") < 8)
    keys = ["k"] if mark != "merge" else []
    with pytest.raises(errors.KernelRowError) as caught:
        source.group_by(*keys).agg(y=Sum.bind(bad=bad, off=off)("x")).collect()
    assert at(mark) in str(caught.value)


def test_helpers_in_another_file(tmp_path) -> None:
    (tmp_path / "ratios.py").write_text("\n\ndef ratio(x):\n    y = x - 7\n    return 10 // y\n")
    (tmp_path / "jobs.py").write_text(
        textwrap.dedent(
            """
            import checkrow as cr, pyarrow as pa
            import ratios

            @cr.row_kernel(returns={"y": pa.int64()})
            def kernel(x):
                return (
                    1
                    + ratios.ratio(x)
                )

            @cr.job
            def job(*, source: str, target: str):
                return cr.scan(source).map(kernel).plan_parquet(target)
            """
        )
    )
    with pytest.raises(errors.KernelRowError) as caught:
        load_job(f"{tmp_path}/jobs.py:job").run(source="t.parquet", target="out")
    assert "ratios.py:5, `return 10 // y`, called at " in str(caught.value)
    assert "jobs.py:9)" in str(caught.value)


def test_it_changes_nothing_that_is_written() -> None:
    @cr.group_kernel(returns={"y": pa.int64()}, shape="map")
    def counted(x, out):
        for i in range(len(x)):
            out.y[i] += x[i]
            if x[i] == 7:
                raise ValueError("seven")

    found = cr.scan("t.parquet").group_by("k").apply(counted).write_parquet("out", bad_rows=cr.BadRows("null"))
    assert found.metrics["rows_out"] == 5
    written = pq.read_table("out").to_pydict()
    assert written == {"k": [1, 1, 2, 2, 2], "y": [1, 2, None, None, None]}


@pytest.fixture
def compiled_only(jit) -> None:
    if jit == "0":
        pytest.skip("interpreted, the traceback itself has the line")


@pytest.mark.usefixtures("compiled_only")
def test_no_line_where_plain_python_does_otherwise(monkeypatch) -> None:
    wanted = f"({Path(__file__)}:{next(n for n, line in enumerate(TEXT, 1) if line == 'def rows(x):')})"

    plain = DriverCache.plain

    def another(cache, driver):
        def run(*arguments):
            try:
                plain(cache, driver)(*arguments)
            except ValueError as error:
                raise TypeError("another").with_traceback(error.__traceback__) from None

        return run

    monkeypatch.setattr("checkrow.compile.cache.DriverCache.plain", another)
    assert wanted in message(lambda ds: ds.map(rows))
    monkeypatch.setattr("checkrow.compile.cache.DriverCache.plain", lambda *_: lambda *_: (1, 0, 0))
    assert wanted in message(lambda ds: ds.map(rows))


@pytest.mark.usefixtures("compiled_only")
def test_no_line_where_it_would_take_too_long(monkeypatch) -> None:
    monkeypatch.setattr(failing_line, "_MOST_LINES", 3)
    assert at("row") not in message(lambda ds: ds.map(rows))
    assert at("row").partition(":")[0] in message(lambda ds: ds.map(rows))
    monkeypatch.setattr(failing_line, "_MOST_LINES", 30)
    assert at("row") in message(lambda ds: ds.map(rows))
    monkeypatch.setattr(failing_line, "_MOST_BYTES", 7)
    assert at("row") not in message(lambda ds: ds.map(rows))


@pytest.mark.usefixtures("compiled_only")
def test_what_is_written_is_copied(monkeypatch) -> None:
    given = np.zeros(3)

    def plain(*_):
        def run(first, last, at, written) -> None:
            assert (first, last, at.tolist()) == (5, 6, [5, 0, 0, -1])
            written[:] = 1
            raise ValueError

        return run

    monkeypatch.setattr("checkrow.compile.cache.DriverCache.plain", plain)
    driver = type("Driver", (), {"kernels": ()})
    cache = type("Cache", (), {"plain": plain})()
    assert failing_line.failing_line(cache, driver, 5, (given,), ValueError("x")) == ""
    assert given.tolist() == [0, 0, 0]

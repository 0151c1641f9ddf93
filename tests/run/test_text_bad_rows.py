"""Rows with texts on which a kernel fails: the line is found, null stands in, the quarantine has them as they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import checkrow as cr
from checkrow import errors

TEXT = Path(__file__).read_text().splitlines()
HERE = Path(__file__).name
WORDS = ["12", "", "x€", None, "-3", "a" * 300]
RAW = [b"\xff", b"", None, b"\x00b", b"7", b"last"]


@cr.row_kernel(returns={"n": pa.int64(), "head": pa.string()})
def number(s):
    head = s.slice(0, 1)
    if len(s) > 100:
        raise IndexError("too long")  # row
    return s.to_int(), head  # row, in a method


@cr.expand_kernel(returns={"at": pa.int64()}, nulls={"s": "?"})
def digits(s, out):
    for i in range(len(s)):
        out.at[i] = s.slice(i, i + 1).to_int() if s != "?" else -1  # expand
    return len(s)


@cr.batch_kernel(returns={"n": pa.int64()}, nulls={"s": "0"})
def numbers(s, out):
    for i in range(len(s)):
        out.n[i] = s[i].to_int()  # batch


@cr.group_kernel(returns={"total": pa.int64(), "last": pa.binary()}, nulls={"raw": b"none"})
def totals(s, s_valid, raw):
    total = 0
    for i in range(len(s)):
        if s_valid[i]:
            total += s[i].to_int()  # group
    return total, raw[-1]


@cr.fold_kernel(returns={"total": pa.int64(), "seen": pa.string()}, nulls={"s": "0"})
class Running:
    def init():
        return 0

    def step(state, s):
        state += s.to_int()  # fold
        return state, (state, s)


@cr.aggregator(returns=pa.int64())
class Total:
    def init():
        return 0

    def update(state, s):
        return state + s.to_int()  # aggregator

    def merge(state, other):
        return state + other

    def finish(state):
        return state


@pytest.fixture(params=["1", "0"], ids=["compiled", "interpreted"])
def words(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> cr.Dataset:
    monkeypatch.setenv("CHECKROW_JIT", request.param)
    Path("in").mkdir()
    table = pa.table({"k": ["u", "v", "v", "w", "w", "x"], "s": WORDS, "raw": RAW})
    pq.write_table(table, "in/words.parquet", row_group_size=2)
    return cr.scan("in")


def at(mark: str) -> str:
    """Returns how a message names the line that ends with a mark."""
    line = next(n for n, text in enumerate(TEXT, 1) if text.endswith(f"# {mark}"))
    return f"{HERE}:{line}, `{TEXT[line - 1].strip()}`"


@pytest.mark.parametrize(
    ("make", "mark"),
    [
        (lambda ds: ds.filter(cr.col("k") == "v").map(number), "row, in a method"),
        (lambda ds: ds.filter(cr.col("k") == "x").map(number), "row"),
        (lambda ds: ds.map(digits), "expand"),
        (lambda ds: ds.map(numbers), "batch"),
        (lambda ds: ds.group_by("k").apply(totals), "group"),
        (lambda ds: ds.group_by("k").apply(Running), "fold"),
        (lambda ds: ds.group_by("k").agg(n=Total("s")), "aggregator"),
    ],
    ids=["row", "row of another reason", "expand", "batch", "group", "fold", "aggregator"],
)
def test_the_line_that_raised_is_told(words: cr.Dataset, make: Any, mark: str) -> None:
    with pytest.raises(errors.KernelRowError) as caught:
        make(words).collect()
    assert at(mark) in str(caught.value)


def test_null_stands_in(words: cr.Dataset) -> None:
    null = cr.BadRows("null")
    found = words.map(number).collect(bad_rows=null)
    assert found["n"].to_pylist() == [12, None, None, None, -3, None]
    assert found["head"].to_pylist() == ["1", None, None, None, "-", None]
    assert words.map(digits).collect(bad_rows=null)["at"].to_pylist() == [1, 2, -1]
    assert words.map(numbers).collect(bad_rows=null)["n"].to_pylist() == [12, None, None, 0, -3, None]
    found = words.group_by("k").apply(totals).collect(bad_rows=null).sort_by("k")
    assert (found["total"].to_pylist(), found["last"].to_pylist()) == (
        [12, None, -3, None],
        [b"\xff", None, b"7", None],
    )
    found = words.group_by("k").apply(Running).collect(bad_rows=null).sort_by("k")
    assert found["total"].to_pylist() == [12, None, None, 0, -3, None]
    assert found["seen"].to_pylist() == ["12", None, None, "0", "-3", None]
    totalled = words.group_by("k").agg(n=Total("s")).collect(bad_rows=null).sort_by("k")
    assert totalled["n"].to_pylist() == [12, None, -3, None]


@pytest.mark.parametrize(
    ("make", "rows"),
    [
        (lambda ds: ds.map(number), [1, 2, 5]),
        (lambda ds: ds.filter(cr.col("raw").is_not_null()).map(number).map(digits), [1, 4, 5]),
        (lambda ds: ds.map(numbers), [1, 2, 5]),
        (lambda ds: ds.group_by("k").apply(totals), [1, 2, 5]),
        (lambda ds: ds.group_by("k").apply(Running), [1, 2, 5]),
        (lambda ds: ds.group_by("s").apply(totals), [1, 2, 5]),
        (lambda ds: ds.group_by("k").agg(n=Total("s")), [1, 2, 5]),
    ],
    ids=["row", "expand", "batch", "group", "fold", "key", "aggregator"],
)
def test_the_quarantine_has_the_rows_as_they_were(words: cr.Dataset, make: Any, rows: list[int]) -> None:
    run = make(words).write_parquet("out", bad_rows=cr.BadRows("quarantine"))
    found = cr.scan("out", output="quarantine").collect()
    assert run.rows_quarantined == len(rows)
    assert found.select(["k", "s", "raw"]).equals(pq.read_table("in/words.parquet").take(rows))
    assert {r["_error"] for r in found.to_pylist()} <= {"ValueError", "IndexError"}


def test_texts_that_stand_in_no_file_are_told(words: cr.Dataset) -> None:
    made = words.select("k", w=cr.col("s").fill_null("none")).group_by("k").agg(w=cr.max("w"), r=cr.count())

    @cr.row_kernel(returns=pa.int64())
    def whole(w):
        return w.to_int()

    made.map(whole).write_parquet("out", bad_rows=cr.BadRows("quarantine"))
    found = cr.scan("out", output="quarantine").collect().to_pylist()
    assert sorted(r["_values"] for r in found) == sorted(
        [
            '{"k":"v","w":"x€","r":2}',
            '{"k":"w","w":"none","r":2}',
            f'{{"k":"x","w":"{"a" * 300}","r":1}}',
        ]
    )

"""Expand kernels: what they are refused for, where failures are said to be, what is read, counted and explained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import checkrow as cr
from checkrow import col, errors
from checkrow.cli.commands import steps_table
from checkrow.compile.expansions import room_is_unseen
from checkrow.operators.expansions import Expander

HERE = Path(__file__).name


@cr.expand_kernel(returns={"k": pa.int64()}, keep=["id"], max_rows=4)
def parts(n, out):
    for k in range(n):
        out.k[k] = k
    return n


@cr.expand_kernel(returns={"z": pa.int64()}, keep=["id", "k"])
def pairs(k, out):
    if k == 2:
        raise ValueError("two")
    out.z[1] = k
    return 2


@pytest.fixture
def rows(tmp_path: Path) -> cr.Dataset:
    """Ten rows in two row groups: n is 0, 1, 2, 3, 0, 1, ..."""
    table = pa.table({"id": range(10), "n": pa.array([i % 4 for i in range(10)], pa.int8()), "s": list("abcdefghij"),
                      "x": np.arange(10) / 2})  # fmt: skip
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=6)
    return cr.scan(str(tmp_path / "t.parquet"))


def test_the_plain_function_and_its_out() -> None:
    out = cr.outputs_for(parts, 4)
    assert (parts(3, out), out.k.tolist()) == (3, [0, 1, 2, 0])
    assert parts(None, out) == 0


def expanding(body: str, arguments: str, tmp_path: Path, **options: Any) -> Any:
    """Returns an expand kernel with a body, from a file of its own."""
    file = tmp_path / "mine.py"
    file.write_text(f"def mine({arguments}):\n    {body}\n")
    space: dict[str, Any] = {}
    exec(compile(file.read_text(), str(file), "exec"), space)
    return cr.expand_kernel(**({"returns": {"y": pa.int8()}} | options))(space["mine"])


@pytest.mark.parametrize(
    ("body", "arguments", "options", "error", "what"),
    [
        ("return 1", "id", {}, errors.KernelTypeError, "make that its last positional argument"),
        ("return 1", "out, id", {}, errors.KernelTypeError, "make that its last positional argument"),
        ("return 1", "out", {}, errors.KernelTypeError, "reads no column"),
        ("return 1", "id, out", {"max_rows": 0}, errors.PlanError, "max_rows=0 must be a whole number from 1"),
        ("return 1", "id, out", {"keep": "id"}, errors.PlanError, "keep='id' must be a list of column names"),
        ("return 1", "id, out", {"keep": ["ids"]}, errors.SchemaError, "no column 'ids'; did you mean 'id'"),
        ("return 1", "id, out", {"keep": ["id", "id"]}, errors.PlanError, "the column 'id' would stand twice"),
        ("return 1", "id, out", {"returns": {"x": pa.int8()}}, errors.PlanError, "the column 'x' would stand twice"),
        ("return 1", "id, out", {"returns": {"a b": pa.int8()}}, errors.KernelTypeError, "cannot be written as out"),
        ("out.y[0] = s\n    return 1", "s, out", {}, errors.KernelTypeError, r"mine.py:2: kernel 'mine' does not compile"),
        ("return 0.5", "id, out", {}, errors.KernelTypeError, "returns float64; it must return how many rows"),
        ("out.y[0] = id", "id, out", {}, errors.KernelTypeError, "mine.py:1: kernel 'mine' returns no value"),
        ("out.y[0] = x\n    return 1", "x, out", {}, errors.KernelTypeError, "writes float64 to out.y, declared int8"),
        ("c = out.y\n    c[0] += 0.5\n    return 1", "x, out", {}, errors.KernelTypeError, "writes float64 to out.y"),
        ("return id.upper()", "id, out", {}, errors.KernelTypeError, r"mine.py:2: kernel 'mine' does not compile"),
        ("return 5", "id, out", {"max_rows": 4}, errors.KernelRowError, "group 0, row 0: .* says it wrote 5 rows; between 0 and max_rows=4"),
        ("return 3 - id", "id, out", {}, errors.KernelRowError, "group 0, row 4: .* says it wrote -1 rows"),
        ("out.y[id] = 1\n    return id", "id, out", {"max_rows": 8}, errors.KernelRowError, "group 1, row 2: .*IndexError.*max_rows=8"),
        ("out.y[0] = 16 * id\n    return 1", "id, out", {}, errors.ArithmeticRangeError, r"group 1, row 2: .*does not fit int8 \('y'\)"),
        ("return 1 // (id - 7) * 0", "id, out", {}, errors.KernelRowError, "group 1, row 1: .*ZeroDivisionError"),
    ],
)  # fmt: skip
def test_what_is_refused(
    rows: cr.Dataset, tmp_path: Path, body: str, arguments: str, options: dict[str, Any], error: type, what: str
) -> None:
    with pytest.raises(error, match=what):
        rows.map(expanding(body, arguments, tmp_path, **options)).collect()


def test_a_lambda_is_refused() -> None:
    with pytest.raises(errors.KernelTypeError, match="a lambda cannot be a kernel"):
        cr.expand_kernel(returns={"y": pa.int8()})(lambda x, out: 1)


def test_forbidden_nulls_name_the_row(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [0, 1], "n": pa.array([1, None], pa.int8())}), tmp_path / "t.parquet")
    strict = cr.expand_kernel(returns={"k": pa.int64()}, nulls="forbid", max_rows=4)(parts.function)
    ds = cr.scan(str(tmp_path / "t.parquet"))
    with pytest.raises(errors.KernelRowError, match=r"row 1: kernel 'parts' .* forbids nulls .*\(n\)"):
        ds.map(strict).collect()
    assert ds.map(parts).collect().to_pylist() == [{"id": 0, "k": 0}]


def test_a_failure_above_names_the_row_that_was_read(rows: cr.Dataset) -> None:
    with pytest.raises(errors.KernelRowError, match=rf"row group 0, row 3: kernel 'pairs' \(.*{HERE}.* two"):
        rows.map(parts).map(pairs).collect()
    with pytest.raises(errors.KernelRowError, match="row group 1, row 1: kernel 'pairs'"):
        rows.filter(col("id") > 6).map(parts).filter(col("k") > 0).map(pairs).collect()


def test_only_what_is_needed_is_read_and_conditions_sink(rows: cr.Dataset) -> None:
    ds = rows.map(cr.expand_kernel(returns={"k": pa.int64()}, max_rows=4)(parts.function))
    stage = ds.filter((col("id") > 2) & (col("k") > 0)).select("k").plan_parquet("x").stages[0]
    assert [f.name for f in stage.source.columns] == ["id", "n"]
    assert [n for n, _ in stage.expansions[0].kept] == []
    assert (len(stage.expansions[0].predicates), len(stage.predicates)) == (1, 1)
    # What may fail on a value stays where it was: it must not be tried on rows that give no rows.
    sums = ds.with_columns(big=col("id") * 3).filter(col("big") > 6).plan_parquet("x").stages[0]
    assert (len(sums.expansions[0].predicates), len(sums.predicates)) == (0, 1)
    assert ds.filter(col("id") > 7).plan_parquet("x").physical().rows_pruned == 6


def test_rows_are_accounted_for(rows: cr.Dataset, tmp_path: Path) -> None:
    run = rows.filter(col("id") != 3).map(parts).filter(col("k") < 2).write_parquet(str(tmp_path / "out"))
    (step,) = run.steps
    # Rows 1 2 5 6 7 9 give 1 2 1 2 3 1; rows 0 4 8 give none, row 3 is out before, and the last one of row 7 after.
    assert (step.rows_in, step.rows_out, step.rows_filtered, step.rows_expanded) == (10, 9, 5, 4)
    assert step.name == "read, expand by parts and write"
    assert cr.scan(str(tmp_path / "out")).collect().num_rows == 9


def test_many_batches_of_one_row_count_it_once(rows: cr.Dataset, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("checkrow.operators.expansions.ROWS", 1)
    many = cr.expand_kernel(returns={"k": pa.int64()}, keep=[], max_rows=100)(hundred)
    run = rows.map(many).write_parquet(str(tmp_path / "out"))
    assert (run.rows_out, run.steps[0].rows_expanded, run.steps[0].rows_filtered) == (1_000, 990, 0)


def hundred(id, out):  # noqa: A002  # the column's name
    for k in range(100):
        out.k[k] = k * id
    return 100


def test_failing_rows_are_counted_and_give_none(rows: cr.Dataset, tmp_path: Path) -> None:
    ds = rows.map(parts).map(pairs)
    run = ds.write_parquet(str(tmp_path / "out"), bad_rows=cr.BadRows("null"))
    assert (run.rows_out, run.rows_nulled) == (22, 2)
    assert (run.steps[0].rows_in, run.steps[0].rows_expanded, run.steps[0].rows_filtered) == (10, 15, 3)
    with pytest.raises(errors.KernelRowError, match="failed on 2 rows"):
        ds.write_parquet(str(tmp_path / "two"), bad_rows=cr.BadRows("null", max_rows=1))


def test_a_row_leaves_for_the_quarantine_with_all_that_was_made_of_it(rows: cr.Dataset, tmp_path: Path) -> None:
    ds = rows.map(parts).map(pairs)
    run = ds.write_parquet(str(tmp_path / "out"), bad_rows=cr.BadRows("quarantine"))
    assert sorted(set(cr.scan(str(tmp_path / "out")).collect()["id"].to_pylist())) == [1, 2, 5, 6, 9]
    bad = cr.scan(str(tmp_path / "out"), output="quarantine").collect().to_pylist()
    assert [(r["id"], r["_row_group"], r["_row_index"], r["_kernel"]) for r in bad] == [
        (3, 0, 3, "pairs"),
        (7, 1, 1, "pairs"),
    ]
    step = run.steps[0]
    assert (step.rows_in, step.rows_out, step.rows_filtered, step.rows_quarantined, step.rows_expanded) == (
        10,
        14,
        3,
        2,
        9,
    )


@cr.group_kernel(returns={"n": pa.int64()})
def sizes(k):
    if k.max() == 2:
        raise ValueError("two")
    return len(k)


def test_group_kernels_above(rows: cr.Dataset, tmp_path: Path, many_slices: None, many_partitions: None) -> None:
    ds = rows.map(parts).group_by("id").apply(sizes, order_by=col("k").desc())
    run = ds.write_parquet(str(tmp_path / "out"), bad_rows=cr.BadRows("quarantine"))
    assert sorted(cr.scan(str(tmp_path / "out")).collect()["n"].to_pylist()) == [1, 1, 1, 2, 2]
    bad = cr.scan(str(tmp_path / "out"), output="quarantine").collect().to_pylist()
    assert sorted((r["id"], r["_row_index"]) for r in bad) == [(3, 3)] * 3 + [(7, 1)] * 3
    assert run.steps[0].rows_expanded == 6


def test_after_an_exchange_it_works_on_what_came_out(rows: cr.Dataset, tmp_path: Path) -> None:
    grouped = rows.group_by("n").agg(id=cr.count()).map(parts)
    assert sorted((r["id"], r["k"]) for r in grouped.collect().to_pylist()) == sorted(
        (count, k) for n, count in ((1, 3), (2, 2), (3, 2)) for k in range(n)
    )
    run = grouped.map(pairs).write_parquet(str(tmp_path / "out"), bad_rows=cr.BadRows("quarantine"))
    assert run.rows_quarantined == 1
    values = cr.scan(str(tmp_path / "out"), output="quarantine").collect()["_values"].to_pylist()
    assert values == ['{"n":3,"id":2}']


def test_code_parameters_and_what_is_kept_are_part_of_the_fingerprint(rows: cr.Dataset) -> None:
    def plan(**options: Any) -> str:
        return (
            rows.map(cr.expand_kernel(**({"returns": {"k": pa.int64()}} | options))(hundred))
            .plan_parquet("x")
            .fingerprint
        )

    prints = [plan(), plan(max_rows=100), plan(keep=["id"]), plan(nulls="forbid"), plan(returns={"k": pa.int32()})]
    assert len(set(prints)) == 5
    assert plan() == plan()


def test_explain_says_it(rows: cr.Dataset) -> None:
    text = rows.filter(col("x") > 1.0).map(parts).filter(col("k") > 0).explain()
    assert (
        "keep rows where (x > 1.0)\n  make 0 to 4 rows of each by expand kernel parts(n), each with its id\n  keep rows where (k > 0)"
        in text
    )


def test_what_an_earlier_row_wrote_is_not_seen(rows: cr.Dataset) -> None:
    @cr.expand_kernel(returns={"a": pa.int64(), "b": pa.bool_()}, keep=[], max_rows=3)
    def dirty(id, out):  # noqa: A002  # the column's name
        if id % 2 == 0:
            for k in range(3):
                out.a[k] = 7
                out.b[k] = True
        return id % 2 * 3

    assert rows.map(dirty).collect().to_pylist() == [{"a": 0, "b": False}] * 15


@cr.expand_kernel(returns={"a": pa.int64(), "room": pa.int64()}, keep=["id"], max_rows=1_000)
def asks(id, out):  # noqa: A002  # the column's name
    out.room[0] = len(out.a)
    return 1


@cr.expand_kernel(returns={"a": pa.int64(), "b": pa.int64()}, keep=["id"], max_rows=1_000)
def uneven(id, out):  # noqa: A002  # the column's name
    n = id * id * 12
    for k in range(n):
        out.a[k] = k
    out.b[n - 1] += 1  # the last row, or of no rows a place that nobody counts
    return n


def test_room_grows_where_the_kernel_cannot_tell(rows: cr.Dataset, monkeypatch: Any) -> None:
    assert [room_is_unseen(k.spec) for k in (uneven, parts, asks)] == [True, True, False]
    unchecked = cr.expand_kernel(returns={"k": pa.int64()}, checked=False)(parts.function)
    assert not room_is_unseen(unchecked.spec)
    rooms: list[int] = []
    drive_once = Expander._drive

    def noted(self: Expander, below: Any, row: int) -> Any:
        rooms.append(self._room)
        return drive_once(self, below, row)

    monkeypatch.setattr(Expander, "_drive", noted)
    found = rows.map(uneven).collect(limits=cr.Limits(threads=1))
    wanted = [(i, k, int(k == i * i * 12 - 1)) for i in range(10) for k in range(i * i * 12)]
    assert list(zip(*(found[c].to_pylist() for c in ("id", "a", "b")), strict=True)) == wanted
    assert sorted(set(rooms)) == [32, 256, 1_000]
    assert set(rows.map(asks).collect()["room"].to_pylist()) == {1_000}


def test_an_index_below_zero_means_the_end_of_all_the_room(rows: cr.Dataset) -> None:
    @cr.expand_kernel(returns={"a": pa.int64(), "b": pa.int64()}, keep=[], max_rows=1_000)
    def backwards(id, out):  # noqa: A002  # the column's name
        zero = id * 0
        out.b[zero - 1] = 5
        for k in range(32):
            out.a[k] = k
        return 32

    assert room_is_unseen(backwards.spec)
    found = rows.map(backwards).collect()
    assert (found["a"].to_pylist(), set(found["b"].to_pylist())) == ([*range(32)] * 10, {0})


@pytest.mark.parametrize(
    ("body", "unseen"),
    [
        ("out.y[id % 3] = 1\n    out.y[out.y[0]] += 2\n    return 1", True),
        ("out.y[-1] = 1\n    return 1", False),
        ("out.y[:] = 1\n    return 1", False),
        ("c = out.y\n    c[0] = 1\n    return 1", False),
        ("return len(out)", False),
        ("return out.y.size", False),
        ("try:\n        out.y[id] = 1\n    except Exception:\n        return 0\n    return 1", False),
    ],
)
def test_when_a_kernel_could_tell(tmp_path: Path, body: str, unseen: bool) -> None:
    assert room_is_unseen(expanding(body, "id, out", tmp_path).spec) == unseen


def test_a_few_rows_are_enough(rows: cr.Dataset) -> None:
    assert rows.map(parts).head(4).to_pylist() == [{"id": i, "k": k} for i, k in ((1, 0), (2, 0), (2, 1), (3, 0))]
    assert rows.filter(col("id") > 99).map(parts).collect().num_rows == 0


def test_steps_are_shown_with_what_was_added(rows: cr.Dataset, tmp_path: Path) -> None:
    steps = rows.map(parts).write_parquet(str(tmp_path / "out")).steps
    columns = {c.header: list(c.cells) for c in steps_table("", steps).columns}
    assert (columns["rows in"], columns["expanded"], columns["rows out"]) == (["10"], ["6"], ["13"])


def test_the_arrays_are_made_once(rows: cr.Dataset, monkeypatch: Any) -> None:
    monkeypatch.setattr("checkrow.operators.expansions.ROWS", 4)
    seen: list[int] = []
    flush = Expander._flush

    def noted(self: Expander, below: Any) -> Any:
        seen.append(id(self._rows))
        return flush(self, below)

    monkeypatch.setattr(Expander, "_flush", noted)
    assert rows.map(parts).collect(limits=cr.Limits(threads=1)).num_rows == 13
    assert len(seen) > 3
    assert len(set(seen)) == 1

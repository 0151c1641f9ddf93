"""Batch kernels: what they are refused for, which rows failures are found on, and what is told of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import checkrow as cr
from checkrow import col, errors
from checkrow.operators.batch_calls import BatchCall
from checkrow.operators.rows import drive_rows


@cr.batch_kernel(returns={"root": pa.float64(), "half": pa.int64()})
def roots(id):  # noqa: A002  # the column's name
    return np.sqrt(id * 1.0), id // 2


@cr.batch_kernel(returns=pa.int64())
def picky(n):
    for i in range(len(n)):
        if n[i] == 3:
            raise ValueError("three")
    return n * 10


@pytest.fixture
def rows(tmp_path: Path) -> cr.Dataset:
    """Ten rows in two row groups: n is 0, 1, 2, 3, 0, 1, ...; m is null in row 7."""
    table = pa.table({"id": range(10), "n": pa.array([i % 4 for i in range(10)], pa.int8()), "s": list("abcdefghij"),
                      "x": np.arange(10) / 2, "m": pa.array([None if i == 7 else i for i in range(10)])})  # fmt: skip
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=6)
    return cr.scan(str(tmp_path / "t.parquet"))


def test_the_plain_function() -> None:
    root, half = roots(np.array([4, 9]))
    assert (root.tolist(), half.tolist()) == ([2.0, 3.0], [2, 4])


def batching(body: str, arguments: str, tmp_path: Path, **options: Any) -> Any:
    """Returns a batch kernel with a body, from a file of its own."""
    file = tmp_path / "mine.py"
    file.write_text(f"def mine({arguments}):\n    {body}\n")
    space: dict[str, Any] = {"np": np}
    exec(compile(file.read_text(), str(file), "exec"), space)
    return cr.batch_kernel(**({"returns": {"y": pa.int8()}} | options))(space["mine"])


@pytest.mark.parametrize(
    ("body", "arguments", "options", "error", "what"),
    [
        ("return x", "x", {}, errors.KernelTypeError, "returns .*float64.*for 'y', declared int8"),
        ("return id.sum()", "id", {}, errors.KernelTypeError, "returns int64 for 'y'; it must return an array"),
        ("return id, id", "id", {}, errors.KernelTypeError, "it must be a single array, as returns= declares 1"),
        ("return 1", "", {}, errors.KernelTypeError, "reads no column"),
        ("out.y[:] = x", "x, out", {}, errors.KernelTypeError, "writes float64 to out.y, declared int8"),
        ("return s", "s", {}, errors.KernelTypeError, "returns texts for .*, declared .*; convert it"),
        ("return id[1:]", "id", {}, errors.KernelRowError, "group 0, rows 0 to 5: .* returned 5 values for 'y'; it was given 6 rows"),
        ("return id * 16", "id", {}, errors.ArithmeticRangeError, "group 1, row 2: .* 'y' that does not fit int8"),
        ("out.y[:] = id * 16", "id, out", {}, errors.ArithmeticRangeError, "group 1, row 2: .* 'y' that does not fit int8"),
        ("return m", "m", {}, errors.KernelRowError, "group 1, row 1: .* forbids nulls but 'm' is null there"),
        ("return 1 // (id - 7)", "id", {}, errors.KernelRowError, "group 1, row 1: .*ZeroDivisionError"),
        ("return id[id]", "id", {}, errors.KernelRowError, "group 1, row 0: .*IndexError"),
    ],
)  # fmt: skip
def test_what_is_refused(
    rows: cr.Dataset, tmp_path: Path, body: str, arguments: str, options: dict[str, Any], error: type, what: str
) -> None:
    with pytest.raises(error, match=what):
        rows.map(batching(body, arguments, tmp_path, **options)).collect()


def test_fills_and_validity(rows: cr.Dataset, tmp_path: Path) -> None:
    filled = batching("return m", "m", tmp_path, nulls={"m": 99})
    assert rows.map(filled).collect()["y"].to_pylist() == [0, 1, 2, 3, 4, 5, 6, 99, 8, 9]
    told = batching("return m_valid * (m + 1)", "m, m_valid", tmp_path)
    assert rows.map(told).collect()["y"].to_pylist() == [1, 2, 3, 4, 5, 6, 7, 0, 9, 10]
    with pytest.raises(errors.KernelTypeError, match="gives 0.5 for column 'm', which is int64; give a whole number"):
        rows.map(batching("return m", "m", tmp_path, nulls={"m": 0.5}))
    with pytest.raises(errors.PlanError, match="'propagate' is not one of 'forbid'"):
        batching("return m", "m", tmp_path, nulls="propagate")


def test_all_outputs_come_of_one_call(rows: cr.Dataset, monkeypatch: Any) -> None:
    calls: list[int] = []
    run = BatchCall.run

    def counted(self: BatchCall) -> Any:
        calls.append(1)
        return run(self)

    monkeypatch.setattr(BatchCall, "run", counted)
    found = rows.map(roots).collect()
    assert found["half"].to_pylist() == [i // 2 for i in range(10)]
    assert len(calls) == 2  # row groups


def test_failing_rows_are_found_by_halves_and_the_others_have_their_values(rows: cr.Dataset, tmp_path: Path) -> None:
    with pytest.raises(errors.KernelRowError, match="row group 0, row 3: kernel 'picky' .* raised ValueError: three"):
        rows.map(picky).collect()
    run = rows.map(picky).write_parquet(str(tmp_path / "out"), bad_rows=cr.BadRows("null"))
    assert run.rows_nulled == 2
    found = cr.scan(str(tmp_path / "out")).collect()["picky"].to_pylist()
    assert found == [0, 10, 20, None, 0, 10, 20, None, 0, 10]


def test_what_a_failed_call_wrote_is_forgotten(rows: cr.Dataset, tmp_path: Path) -> None:
    adds = batching(
        "for i in range(len(id)):\n        out.y[i] += 1 + id[i] * (1 // (id[i] - 4) * 0)", "id, out", tmp_path
    )
    found = rows.map(adds).collect(bad_rows=cr.BadRows("null"))["y"].to_pylist()
    assert found == [1, 1, 1, 1, None, 1, 1, 1, 1, 1]


def test_failing_rows_leave_for_the_quarantine(rows: cr.Dataset, tmp_path: Path) -> None:
    rows.map(picky).filter(col("picky") >= 0).write_parquet(str(tmp_path / "out"), bad_rows=cr.BadRows("quarantine"))
    assert cr.scan(str(tmp_path / "out")).collect()["id"].to_pylist() == [0, 1, 2, 4, 5, 6, 8, 9]
    bad = cr.scan(str(tmp_path / "out"), output="quarantine").collect().to_pylist()
    assert [(r["id"], r["_kernel"], r["_message"]) for r in bad] == [
        (i, "picky", "raised ValueError: three") for i in (3, 7)
    ]


def test_a_kernel_that_depends_on_the_cut_is_an_error(rows: cr.Dataset, tmp_path: Path) -> None:
    crowd = batching("if len(id) > 1:\n        raise ValueError('many')\n    return id", "id", tmp_path)
    with pytest.raises(errors.KernelRowError, match="rows 1 to 2: .* many, but not for either half of these rows"):
        rows.map(crowd).collect(bad_rows=cr.BadRows("null"))


def test_inputs_are_read_only(rows: cr.Dataset, tmp_path: Path) -> None:
    with pytest.raises(errors.KernelTypeError, match=r"mine.py:2: kernel 'mine' does not compile in `id\[0\] = 1`"):
        rows.map(batching("id[0] = 1\n    return id", "id", tmp_path)).collect()


@cr.row_kernel(returns={"w": pa.int64()})
def tripled(n):
    return n * 3


def test_row_kernels_beside_it_stay_in_one_loop(rows: cr.Dataset, monkeypatch: Any) -> None:
    driven: list[int] = []

    def counted(cache: Any, predicates: Any, outputs: Any, *args: Any, **kwargs: Any) -> Any:
        driven.append(len(outputs))
        return drive_rows(cache, predicates, outputs, *args, **kwargs)

    monkeypatch.setattr("checkrow.operators.rows.drive_rows", counted)
    found = rows.filter(col("id") > 1).with_columns(v=col("id") + 1).map(tripled).map(roots).collect()
    assert found["w"].to_pylist() == [i % 4 * 3 for i in range(2, 10)]
    assert driven == [2, 2]


def test_what_else_it_may_be(rows: cr.Dataset) -> None:
    assert rows.select(y=picky(cr.when(col("n") == 3).then(0).otherwise(col("n")))).collect()["y"].to_pylist()[3] == 0
    with pytest.raises(errors.PlanError, match="returns 2 columns; use .map"):
        roots(col("id"))
    with pytest.raises(errors.PlanError, match="a group kernel goes with group_by"):
        rows.map(cr.group_kernel(returns=pa.int64())(tripled.function))  # type: ignore[arg-type]
    text = rows.filter(picky(col("id")) > 3).explain()
    assert "call batch kernel picky with the arrays of each batch" in text
    assert "one compiled loop" not in text


def test_the_fingerprint_covers_it(rows: cr.Dataset, tmp_path: Path) -> None:
    def plan(body: str, **options: Any) -> str:
        return rows.map(batching(body, "m", tmp_path, **options)).plan_parquet("x").fingerprint

    prints = [plan("return m"), plan("return m + 1"), plan("return m", nulls={"m": 1}), plan("return m", checked=False)]
    assert len(set(prints)) == 4

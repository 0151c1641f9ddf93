"""The benchmark runner: a real small run, results equal, the documented form; a wrong result is seen."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.compare import equal
from benchmarks.report import table
from benchmarks.runner import measure
from benchmarks.sessions import SESSIONS

ROOT = Path(__file__).parents[2]


def test_a_small_run(tmp_path) -> None:
    command = [
        sys.executable, "-m", "benchmarks", "--suite", "relational", "--scale", "small", "--runs", "1",
        "--data", str(tmp_path / "data"), "--json", str(tmp_path / "out.json"),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "out.json").read_text())
    assert set(results) == {"machine", "versions", "scale", "cases"}
    assert [c["engine"] for c in results["cases"]] == ["checkrow", "duckdb", "polars"]
    for case in results["cases"]:
        assert set(case) == {"suite", "case", "engine", "seconds", "bound_s", "peak_rss_bytes", "rows", "equal"}
        assert (case["equal"], case["rows"], len(case["seconds"])) == (True, 600_572, 1)
    assert table(results) in done.stdout


def test_equal_sees_what_differs() -> None:
    one = pa.table({"k": ["a", "b"], "x": [1.0, 2.0], "n": [1, 2]})
    assert equal(one, one.take([1, 0]))
    assert equal(one, one.set_column(1, "x", pa.array([1.0 + 1e-12, 2.0])))
    assert not equal(one, one.set_column(1, "x", pa.array([1.0, 2.0001])))
    assert not equal(one, one.set_column(2, "n", pa.array([1, 3])))
    assert not equal(one, one.slice(0, 1))
    assert not equal(one, one.rename_columns(["k", "y", "n"]))


def test_written_results_are_compared(tmp_path) -> None:
    data = SESSIONS.prepare(tmp_path, 0.02)
    found = measure(SESSIONS, data, 1)
    assert [(c["engine"], c["rows"], c["equal"]) for c in found] == [(e, 20_000, True) for e in SESSIONS.engines]
    assert all(c["peak_rss_bytes"] > 0 and c["bound_s"] > 0 for c in found)


def test_generated_data_is_the_same_every_time(tmp_path) -> None:
    one, two = (SESSIONS.prepare(tmp_path / n, 0.01) for n in "ab")
    assert pq.read_table(one).equals(pq.read_table(two))


WRITTEN = pa.table({"k": [1, 2, 3], "x": [1.0, float("nan"), 3.0], "n": [1, None, 3]})


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (WRITTEN.take([2, 0, 1]), True),
        (WRITTEN.set_column(1, "x", pa.array([1.0 + 1e-12, float("nan"), 3.0])), True),
        (WRITTEN.set_column(1, "x", pa.array([1.0, float("nan"), 3.0001])), False),
        (WRITTEN.set_column(1, "x", pa.array([1.0, 2.0, 3.0])), False),
        (WRITTEN.set_column(2, "n", pa.array([1, 0, 3])), False),
        (WRITTEN.slice(0, 2), False),
        (WRITTEN.take([0, 1, 2, 2]), False),
        (WRITTEN.take([0, 1, 1]), False),
        (WRITTEN.drop(["n"]), False),
    ],
)
def test_equal_files_sees_what_differs(tmp_path, other, same) -> None:
    for name, rows in (("wanted", WRITTEN), ("found", other)):
        (tmp_path / name).mkdir()
        pq.write_table(rows, tmp_path / name / "0.parquet")
    assert equal(tmp_path / "found", tmp_path / "wanted", ("k",)) is same

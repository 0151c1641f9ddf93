"""The benchmark runner: a real small run, results equal, the documented form; a wrong result is seen."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa

from benchmarks.compare import equal
from benchmarks.report import table

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

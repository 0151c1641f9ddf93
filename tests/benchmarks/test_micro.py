"""The micro-benchmark measures every kernel of the table, and sees one that is wrong."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

from benchmarks.micro import measured, same, table
from checkrow_kernels.registry import KERNELS

ROOT = Path(__file__).parents[2]
TAKE = next(k for k in KERNELS if k.name == "take")


def test_one_kernel_of_several_types(tmp_path) -> None:
    out = tmp_path / "micro.json"
    command = [sys.executable, "-m", "benchmarks.micro", "--kernel", "take", "--rows", "1000", "--runs", "2"]
    done = subprocess.run([*command, "--json", str(out)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    cases = json.loads(out.read_text())["cases"]
    assert [c["case"] for c in cases[::2]] == [f"take[{d}]" for d in TAKE.dtypes]
    assert [c["engine"] for c in cases[:2]] == ["checkrow", "checkrow:reference"]
    assert all(c["equal"] and len(c["seconds"]) == 2 and c["ns_per_row"] > 0 for c in cases)
    assert table(cases) in done.stdout


def test_functions_of_scalars_are_timed_by_the_call() -> None:
    weekday = next(k for k in KERNELS if k.name == "weekday")
    mine, theirs = measured(weekday, "", 1000, 100, 1)
    assert mine["rows"] == theirs["rows"] == 20_000
    assert 1 < mine["ns_per_row"] < 1e5


def test_a_wrong_kernel_is_seen() -> None:
    def wrong(values, rows, out) -> None:
        TAKE.function(values, rows, out)
        out[7] += 1

    assert same(TAKE, TAKE.arguments(1, 20))
    assert not same(dataclasses.replace(TAKE, function=wrong), TAKE.arguments(1, 20))

"""Every built-in kernel against its reference: `python -m benchmarks.micro --kernel take --json out.json`.

Both get copies of the same seeded arguments, so that a kernel that writes into them always begins anew; copying is not
timed. A reference is slow by design: it runs on fewer rows, and what is compared is nanoseconds per row.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.report import document
from checkrow_kernels.kernel_info import Arguments, KernelInfo
from checkrow_kernels.registry import KERNELS

SEED = 23
_SCALAR = "O(1)"
_CALLS = 20_000
"""Calls in one timing of a function of scalars, of which a single one is too short to be timed."""


def main() -> int:
    """Measures the chosen kernels and prints the table; fails when a result is not equal."""
    parser = argparse.ArgumentParser(prog="benchmarks.micro", description=__doc__)
    parser.add_argument("--kernel", choices=sorted({k.name for k in KERNELS}), help="default: all kernels")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of a kernel's arguments")
    parser.add_argument("--reference-rows", type=int, default=5_000, help="rows of its reference's arguments")
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each")
    parser.add_argument("--json", type=Path, help="where to write the results")
    options = parser.parse_args()
    chosen = [k for k in KERNELS if options.kernel in {None, k.name}]
    cases = []
    for kernel in chosen:
        for dtype in kernel.dtypes:
            cases += measured(kernel, dtype, options.rows, options.reference_rows, options.runs)
    if options.json:
        options.json.write_text(json.dumps(document("micro", cases), indent=2) + "\n", encoding="utf-8")
    print(table(cases))
    return 0 if all(c["equal"] for c in cases) else 1


def measured(kernel: KernelInfo, dtype: str, rows: int, reference_rows: int, runs: int) -> list[dict[str, Any]]:
    """Returns the record of a kernel and that of its reference."""
    name = f"{kernel.name}[{dtype}]" if dtype else kernel.name
    few = kernel.arguments(SEED, reference_rows, dtype)
    equal = same(kernel, few)
    out = []
    for engine, function, count in (
        ("checkrow", kernel.function, rows), ("checkrow:reference", kernel.reference, reference_rows),
    ):  # fmt: skip
        given = few if count == reference_rows else kernel.arguments(SEED, count, dtype)
        counted = _CALLS if kernel.cost == _SCALAR else count
        repeats = counted if kernel.cost == _SCALAR else 1
        seconds = [_timed(function, given, repeats) for _ in range(runs + 1)][1:]
        out.append(
            {
                "suite": "micro", "case": name, "engine": engine, "seconds": seconds, "rows": counted,
                "ns_per_row": 1e9 * statistics.median(seconds) / counted, "equal": equal,
            }
        )  # fmt: skip
    return out


def _timed(function: Callable[..., Any], arguments: Arguments, repeats: int) -> float:
    given = copy.deepcopy(arguments)
    started = time.perf_counter()
    for _ in range(repeats):
        function(*given)
    return time.perf_counter() - started


def same(kernel: KernelInfo, arguments: Arguments) -> bool:
    """Tells whether a kernel and its reference return and write the same."""
    mine, theirs = copy.deepcopy(arguments), copy.deepcopy(arguments)
    found, wanted = kernel.function(*mine), kernel.reference(*theirs)
    if found != wanted:
        return False
    arrays = [(a, b) for n, (a, b) in enumerate(zip(mine, theirs, strict=True)) if n not in kernel.scratch]
    return all(_close(a, b, kernel.tolerance) for a, b in arrays if hasattr(a, "shape"))


def _close(a: Any, b: Any, tolerance: float) -> bool:
    exact = (a == b) | ((a != a) & (b != b))
    return bool((exact | (abs(a - b) <= tolerance * abs(b))).all()) if tolerance else bool(exact.all())


def table(cases: list[dict[str, Any]]) -> str:
    """Returns records as a Markdown table: nanoseconds per row of kernel and reference."""
    lines = ["| kernel | ns/row | reference ns/row | times faster | equal |", "|---|---|---|---|---|"]
    for mine, theirs in zip(cases[::2], cases[1::2], strict=True):
        ours, slow = mine["ns_per_row"], theirs["ns_per_row"]
        lines.append(
            f"| {mine['case']} | {ours:.2f} | {slow:.1f} | {slow / ours:.0f} | {'yes' if mine['equal'] else 'NO'} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())

"""`python -m benchmarks --suite kernels --case sessions --scale full --json results.json`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks.cases import CASES
from benchmarks.report import document, table
from benchmarks.runner import measure


def main() -> int:
    """Runs the chosen cases, prints the table, and fails when a result is not equal."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--suite", choices=sorted({s for s, _ in CASES}), help="default: all suites")
    parser.add_argument("--case", choices=sorted({n for _, n in CASES}), help="default: all cases of the suites")
    parser.add_argument("--scale", choices=["small", "full"], default="small")
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each engine")
    parser.add_argument("--data", type=Path, default=Path(__file__).parent / "data", help="where data is kept")
    parser.add_argument("--json", type=Path, help="where to write the results")
    options = parser.parse_args()
    chosen = [c for (s, n), c in CASES.items() if options.suite in {None, s} and options.case in {None, n}]
    if not chosen:
        parser.error(f"suite {options.suite!r} has no case {options.case!r}; it has {_cases_of(options.suite)}")
    cases = []
    for case in chosen:
        data = case.prepare(options.data, case.scales[options.scale])
        cases += measure(case, data, options.runs)
    results = document(options.scale, cases)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(table(results))
    return 0 if all(c["equal"] for c in cases) else 1


def _cases_of(suite: str) -> list[str]:
    return [n for s, n in CASES if s == suite]


if __name__ == "__main__":
    sys.exit(main())

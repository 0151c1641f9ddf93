"""Random tests for as long as asked: round after round with a fresh seed each, until one fails or the time is over.

`python -m tests.soak --part kernels --minutes 30`, or `make soak PART=kernels MINUTES=30`. Every round is a run of
pytest in a process of its own, with Hypothesis' profile `soak`; its seed is printed and repeats it.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.conftest import environment
from tests.profiles import SOAK

ROOT = Path(__file__).parents[1]
TOTALS = ROOT / "soak-totals.json"
_PASSED = re.compile(r"^\s*- (\d+) passing", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Tests that are soaked together, and the environment they run in."""

    tests: tuple[str, ...]
    variables: dict[str, str] = field(default_factory=dict)


_HERE = "tests/properties"
_KINDS = (f"{_HERE}/test_group_kernels.py", f"{_HERE}/test_fold_kernels.py", f"{_HERE}/test_aggregates.py")
_ROW_WISE = tuple(f"{_HERE}/test_{kind}.py" for kind in ("row_nulls", "expand_kernels", "batch_kernels"))
_BAD_ROWS = (f"{_HERE}/test_bad_rows.py", f"{_HERE}/test_quarantine.py")
_TEXTS = (f"{_HERE}/test_text_kernels.py",)
PARTS = {
    "groups": Part(tests=(f"{_HERE}/test_group_kernels.py",)),
    "folds": Part(tests=(f"{_HERE}/test_fold_kernels.py",)),
    "row-wise": Part(tests=_ROW_WISE),
    "aggregates": Part(tests=(f"{_HERE}/test_aggregates.py",)),
    "bad-rows": Part(tests=_BAD_ROWS),
    "texts": Part(tests=_TEXTS),
    "kernels": Part(tests=(*_KINDS, *_ROW_WISE, *_TEXTS, *_BAD_ROWS)),
    "interpreted": Part(tests=(*_KINDS, *_ROW_WISE, *_TEXTS), variables={"CHECKROW_JIT": "0"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one run of a part's tests came to."""

    passed: bool
    tables: int
    output: str


def run_round(part: Part, seed: int) -> Round:
    """Runs a part's tests once, with all they draw coming from a seed."""
    command = [
        sys.executable, "-m", "pytest", "-q", "-n", "0", f"--hypothesis-profile={SOAK}", f"--hypothesis-seed={seed}",
        "--hypothesis-show-statistics", "-o", "timeout=0", *part.tests,
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=ROOT, env=environment(**part.variables), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False,
    )  # fmt: skip
    return Round(passed=done.returncode == 0, tables=tables_in(done.stdout), output=done.stdout)


def tables_in(output: str) -> int:
    """Returns how many tables passed, as Hypothesis' statistics tell."""
    return sum(int(n) for n in _PASSED.findall(output))


def add_totals(path: Path, name: str, found: Round, seconds: float) -> dict[str, float]:
    """Adds a round to the totals of its part in a file; returns them."""
    known = json.loads(path.read_text()) if path.exists() else {}
    before = known.get(name, {"rounds": 0, "tables": 0, "seconds": 0.0, "failures": 0})
    known[name] = {
        "rounds": before["rounds"] + 1, "tables": before["tables"] + found.tables,
        "seconds": round(before["seconds"] + seconds, 1), "failures": before["failures"] + (not found.passed),
    }  # fmt: skip
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
    draft.replace(path)
    totals: dict[str, float] = known[name]
    return totals


def soak(
    name: str, minutes: float, seeds: Iterator[int], *, totals: Path,
    run: Callable[[Part, int], Round] = run_round, clock: Callable[[], float] = time.monotonic,
) -> int:  # fmt: skip
    """Runs rounds while there is time, at least one; returns the exit code, 1 after the first that fails."""
    end = clock() + minutes * 60
    for seed in seeds:
        print(f"{name}: seed {seed}", flush=True)
        started = clock()
        found = run(PARTS[name], seed)
        sums = add_totals(totals, name, found, clock() - started)
        if not found.passed:
            print(found.output)
            print(f"FAILED with seed {seed}; to repeat it: python -m tests.soak --part {name} --seed {seed}")
            return 1
        print(f"  {found.tables:,} tables passed; so far {sums['tables']:,} in {sums['rounds']:,} rounds", flush=True)
        if clock() >= end:
            break
    return 0


def fresh_seeds() -> Iterator[int]:
    """Yields seeds that no run before had."""
    source = random.SystemRandom()
    while True:
        yield source.randrange(2**32)


def main(arguments: Sequence[str]) -> int:
    """Reads the command line and soaks."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--part", choices=sorted(PARTS), required=True)
    parser.add_argument("--minutes", type=float, default=10.0, help="no round begins later; each is finished")
    parser.add_argument("--seed", type=int, help="run one round with this seed")
    given = parser.parse_args(arguments)
    seeds = fresh_seeds() if given.seed is None else iter([given.seed])
    return soak(given.part, given.minutes, seeds, totals=TOTALS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Running a case: every engine in its own process, runs alternating, the first of each not counted.

An engine whose first run takes over three times ours is not run again: that run counts.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.case import BOUND, Case, Result
from benchmarks.child import decoded
from benchmarks.compare import equal
from benchmarks.memory import PeakMemory

ROOT = Path(__file__).parents[1]
_SLOW = 3.0
_SAMPLE_S = 0.2


@dataclass(slots=True)
class Engine:
    """A running child process and what it measured."""

    name: str
    process: subprocess.Popen[str]
    memory: PeakMemory
    first_s: float = 0.0
    seconds: list[float] = field(default_factory=list)
    result: Result | None = None

    def run(self, *, counted: bool) -> None:
        """Lets the engine compute once."""
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("the child has no pipes")
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        while not select.select([self.process.stdout], [], [], _SAMPLE_S)[0]:
            self.memory.sample()
        self.memory.sample()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} died; see its error above")
        answer = json.loads(line)
        if counted:
            self.seconds.append(answer["seconds"])
        else:
            self.first_s = answer["seconds"]
        self.result = decoded(answer)

    def is_slow(self, ours: Engine) -> bool:
        """Tells whether the first run took over three times one of ours."""
        return self is not ours and bool(ours.seconds) and self.first_s > _SLOW * min(ours.seconds)


def measure(case: Case, data: Path, runs: int) -> list[dict[str, object]]:
    """Returns one record per engine, in the documented form.

    Parameters
    ----------
    case : Case
    data : Path
        What `case.prepare` returned.
    runs : int
        Counted runs of each engine; they alternate, so that a drift of the machine hits all alike.
    """
    names = [*case.engines, BOUND]
    children = [_start(case, name, data) for name in names]
    try:
        for child in children:
            child.run(counted=False)
        for _ in range(runs):
            for child in children:
                if child.is_slow(children[0]):
                    child.seconds = [child.first_s]
                else:
                    child.run(counted=True)
    finally:
        for child in children:
            child.process.communicate()
    return records(case, children, case.rows(data))


def _start(case: Case, engine: str, data: Path) -> Engine:
    command = [sys.executable, "-m", "benchmarks.child", case.suite, case.name, engine, str(data.resolve())]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    return Engine(engine, process, PeakMemory(process.pid))


def records(case: Case, children: list[Engine], rows: int) -> list[dict[str, object]]:
    """Returns measurements as records: seconds, the bound, peak memory, and whether the result equals the oracle's."""
    by_name = {c.name: c for c in children}
    wanted = by_name[case.oracle].result
    bound = sorted(by_name[BOUND].seconds)
    return [
        {
            "suite": case.suite,
            "case": case.name,
            "engine": c.name,
            "seconds": [round(s, 4) for s in c.seconds],
            "bound_s": round(bound[len(bound) // 2], 4),
            "peak_rss_bytes": c.memory.bytes,
            "rows": rows,
            "equal": c.result is not None and wanted is not None and equal(c.result, wanted, case.keys),
        }
        for c in children
        if c.name != BOUND
    ]

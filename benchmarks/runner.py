"""Running a case: every engine in its own process, runs alternating, the first of each not counted."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from benchmarks.case import Case
from benchmarks.compare import equal


@dataclass(slots=True)
class Engine:
    """A running child process and what it measured."""

    name: str
    process: subprocess.Popen[str]
    seconds: list[float] = field(default_factory=list)
    peak_rss_bytes: int = 0
    table: pa.Table | None = None

    def run(self, *, counted: bool) -> None:
        """Lets the engine compute once."""
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("the child has no pipes")
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} died; see its error above")
        answer = json.loads(line)
        self.peak_rss_bytes = answer["peak_rss_bytes"]
        if counted:
            self.seconds.append(answer["seconds"])
        if answer["table"]:
            self.table = pa.ipc.open_stream(base64.b64decode(answer["table"])).read_all()


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
    names = [*case.engines, "bound"]
    children = [_start(case, name, data) for name in names]
    try:
        for number in range(runs + 1):
            for child in children:
                child.run(counted=number > 0)
    finally:
        for child in children:
            child.process.communicate()
    return records(case, children, case.rows(data))


def _start(case: Case, engine: str, data: Path) -> Engine:
    command = [sys.executable, "-m", "benchmarks.child", case.suite, case.name, engine, str(data)]
    return Engine(engine, subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))


def records(case: Case, children: list[Engine], rows: int) -> list[dict[str, object]]:
    """Returns measurements as records: seconds, the bound, peak memory, and whether the result equals the oracle's."""
    by_name = {c.name: c for c in children}
    wanted = by_name[case.oracle].table
    bound = sorted(by_name["bound"].seconds)
    return [
        {
            "suite": case.suite,
            "case": case.name,
            "engine": c.name,
            "seconds": [round(s, 4) for s in c.seconds],
            "bound_s": round(bound[len(bound) // 2], 4),
            "peak_rss_bytes": c.peak_rss_bytes,
            "rows": rows,
            "equal": c.table is not None and wanted is not None and equal(c.table, wanted),
        }
        for c in children
        if c.name != "bound"
    ]

"""One engine in a process of its own: computes when asked, reports seconds and peak memory. Run as a script."""

from __future__ import annotations

import base64
import json
import sys
import time
from pathlib import Path

import pyarrow as pa

from benchmarks.cases import CASES


def main(suite: str, name: str, engine: str, data: Path) -> None:
    """Answers each line on standard input with the measurement of one run."""
    case = CASES[suite, name]
    for _ in sys.stdin:
        started = time.perf_counter()
        table = case.engines[engine](data) if engine != "bound" else case.bound(data)
        seconds = time.perf_counter() - started
        answer = {"seconds": seconds, "peak_rss_bytes": peak_rss_bytes(), "table": _encode(table)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def peak_rss_bytes() -> int:
    """Returns the most memory this process has held."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("the system does not tell the peak of resident memory")


def _encode(table: pa.Table | None) -> str:
    if table is None:
        return ""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return base64.b64encode(sink.getvalue()).decode()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4]))

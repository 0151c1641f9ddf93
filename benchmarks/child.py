"""One engine in a process of its own: computes when asked and reports the seconds. Run as a script.

Outside of the timed part: emptying the engine's output directory, waiting until earlier output is on disk, and, for
the bound, reading the oracle's result.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow as pa

from benchmarks.bound import read_result, write_result
from benchmarks.case import BOUND, Case, Result
from benchmarks.cases import CASES
from checkrow_kernels.warm import compile_pages

Work = Callable[[], Result | None]


def main(suite: str, name: str, engine: str, data: Path) -> None:
    """Answers each line on standard input with the measurement of one run."""
    case = CASES[suite, name]
    if engine.startswith("checkrow"):
        compile_pages()  # as `checkrow doctor --warm` does after an installation
    for _ in sys.stdin:
        work = prepared(case, engine, data)
        started = time.perf_counter()
        result = work()
        seconds = time.perf_counter() - started
        sys.stdout.write(json.dumps({"seconds": seconds, **encoded(result)}) + "\n")
        sys.stdout.flush()


def prepared(case: Case, engine: str, data: Path) -> Work:
    """Returns the work to be timed, its output directory empty."""
    out = case.output(data, engine)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    wanted = read_result(found) if engine == BOUND and (found := _oracle_files(case, data)) else None
    os.sync()  # an engine must not pay for writing what the one before it left in the page cache
    if engine == BOUND:
        return partial(_unavoidable, case, data, wanted, out)
    return partial(case.engines[engine], data, out)


def _oracle_files(case: Case, data: Path) -> Path | None:
    """Returns the directory of the oracle's files, None when its result was a table."""
    files = next(case.output(data, case.oracle).rglob("*.parquet"), None)
    return files.parent if files else None


def _unavoidable(case: Case, data: Path, wanted: pa.Table | None, out: Path) -> None:
    case.decode(data)
    if wanted is not None:
        write_result(wanted, out)


def encoded(result: Result | None) -> dict[str, str]:
    """Returns a result as text: files by their directory, a table as an Arrow stream."""
    if result is None:
        return {}
    if isinstance(result, Path):
        return {"files": str(result)}
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, result.schema) as writer:
        writer.write_table(result)
    return {"table": base64.b64encode(sink.getvalue()).decode()}


def decoded(answer: dict[str, str]) -> Result | None:
    """Returns the result that was encoded."""
    if "files" in answer:
        return Path(answer["files"])
    if "table" in answer:
        return pa.ipc.open_stream(base64.b64decode(answer["table"])).read_all()
    return None


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4]))
